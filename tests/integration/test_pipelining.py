"""The pipelining client: its example, its promise that replies find their callers, its ways to a server."""

import ast
import asyncio
import inspect
import ssl
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio.connection import Connection
from redis.exceptions import DataError

from corral.stack import free_port
from corral.valkey import ValkeyServer, embedded_valkey
from producers import pipelining
from producers.pipelining import PipeliningRedis
from tests.support.fault_proxy import fault_proxy
from tests.support.until import until

# What each caller does, and how many words it sends.
steps = st.lists(
    st.tuples(st.sampled_from(["echo", "block", "multi", "script", "blocking", "error"]), st.integers(1, 5)),
    min_size=1,
    max_size=25,
)


async def test_the_example_of_the_documentation_runs(valkey: ValkeyServer) -> None:
    """What the module's first lines show gives what they say."""
    text = inspect.getdoc(pipelining) or ""
    lines = text.split("\n\n")[1]
    scope: dict[str, Any] = {"asyncio": asyncio, "PipeliningRedis": PipeliningRedis}
    exec(compile(ast.parse(textwrap.dedent(lines)), "example", "exec"), scope)  # noqa: S102 - our own documentation
    assert await scope["example"](valkey.url) == [42, "42"]
    async with PipeliningRedis.from_url(valkey.url) as client:
        await client.delete("visits")


@settings(max_examples=60, deadline=None)
@given(plan=steps, cancelled=st.sets(st.integers(0, 24)), turns=st.integers(0, 4), room=st.integers(1, 30))
def test_any_interleaving_gives_each_caller_its_own_reply(
    valkey: ValkeyServer, plan: list[tuple[str, int]], cancelled: set[int], turns: int, room: int
) -> None:
    """Single commands, blocks, transactions, scripts, blocking reads, errors and cancellations, in any order."""
    asyncio.run(_walk(valkey.url, plan, cancelled, turns, room))


async def _walk(url: str, plan: list[tuple[str, int]], cancelled: set[int], turns: int, room: int) -> None:
    async with PipeliningRedis.from_url(url, decode_responses=True, max_in_flight=room) as client:
        calls = [asyncio.create_task(_step(client, name, number, size)) for number, (name, size) in enumerate(plan)]
        for _ in range(turns):
            await asyncio.sleep(0)
        for number in cancelled & set(range(len(calls))):
            calls[number].cancel()
        ends = await asyncio.gather(*calls, return_exceptions=True)
        for number, end in enumerate(ends):
            assert end == _expected(number, plan[number][1]) or (number in cancelled), (number, plan[number], end)
        assert await client.echo("last") == "last"


def _expected(number: int, size: int) -> list[str]:
    return [f"{number}.{part}" for part in range(size)]


async def _step(client: Any, name: str, number: int, size: int) -> list[str]:  # noqa: ANN401 - redis-py's types are both
    words = _expected(number, size)
    match name:
        case "echo":
            return list(await asyncio.gather(*(client.echo(word) for word in words)))
        case "block" | "multi":
            pipe = client.pipeline(transaction=name == "multi")
            for word in words:
                pipe.echo(word)
            return list(await pipe.execute())
        case "script":
            return [await client.eval("return ARGV[1]", 0, word) for word in words]
        case "blocking":
            await client.blpop("nothing", timeout=0.001)
            return words
        case _:
            with pytest.raises(Exception, match="unknown command"):
                await client.execute_command("NOSUCH")
            return words


async def test_one_turn_is_few_writes(valkey: ValkeyServer) -> None:
    """A hundred commands of one turn reach the server in pieces that double, over one connection."""
    async with fault_proxy(valkey.socket) as proxy, PipeliningRedis(port=proxy.port) as client:
        await client.ping()
        before = proxy.to_server.pieces
        await asyncio.gather(*(client.ping() for _ in range(100)))
        # 1, 1, 2, 4, 8, 16, 32 and the rest; pieces may come together.
        assert proxy.to_server.pieces - before <= 8
        assert proxy.accepted == 1


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for localhost, and its key, in one file."""
    file = tmp_path / "localhost.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*command, "-keyout", str(file), "-out", f"{file}.crt"], check=True, capture_output=True)
    file.write_text(file.read_text() + Path(f"{file}.crt").read_text())
    return file


async def test_it_speaks_tls(valkey: ValkeyServer, certificate: Path) -> None:
    """With a certificate that the client trusts, and never without."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    async with fault_proxy(valkey.socket, tls=context) as proxy:
        url = f"rediss://localhost:{proxy.port}"
        async with PipeliningRedis.from_url(url, ssl_ca_certs=str(certificate), decode_responses=True) as client:
            huge = "x" * 1_000_000
            assert await asyncio.gather(*(client.echo(f"{n}{huge}") for n in range(5))) == [
                f"{n}{huge}" for n in range(5)
            ]
            assert await client.blpop("nothing", timeout=0.01) is None
        async with PipeliningRedis.from_url(url, retry=None, socket_connect_timeout=1) as client:
            with pytest.raises(Exception, match="certificate verify failed"):
                await client.ping()


async def test_it_speaks_tcp_and_chooses_a_database(tmp_path: Path) -> None:
    """A port, a database and a client name from the url are those of every connection."""
    port = free_port()
    with embedded_valkey(tmp_path, port=port):
        url = f"redis://127.0.0.1:{port}/5?client_name=corral"
        async with PipeliningRedis.from_url(url, decode_responses=True) as client:
            info = await client.client_info()
            await client.blpop("nothing", timeout=0.01)
            connections = [found for found in await client.client_list() if found["name"] == "corral"]
    assert (info["db"], info["name"], len(connections)) == (5, "corral", 2)
    assert {found["db"] for found in connections} == {"5"}


@pytest.mark.parametrize("command", ["SELECT 1", "MULTI", "watch k", "CLIENT REPLY OFF", "SUBSCRIBE c", "RESET"])
async def test_what_would_change_the_shared_socket_is_refused(valkey: ValkeyServer, command: str) -> None:
    """Such a command would reach every other caller of the client."""
    async with PipeliningRedis.from_url(valkey.url) as client:
        for words in (command.split(), [command]):
            with pytest.raises(DataError):
                await client.execute_command(*words)  # type: ignore[no-untyped-call]


async def test_an_idle_connection_that_ends_is_replaced_without_an_error(valkey: ValkeyServer) -> None:
    """The server closed it while nobody waited for a reply: no call can have been lost."""
    async with fault_proxy(valkey.socket) as proxy, PipeliningRedis(port=proxy.port) as client:
        await client.ping()
        proxy.cut()
        await until(lambda: client._link is not None and client._link.broken)
        assert await client.ping()
        assert proxy.accepted == 2


def test_the_private_parts_of_redis_py_are_where_they_were() -> None:
    """What `link.py` takes over from redis-py's connection; a new release that moves it is noticed here."""
    connection = Connection()
    assert {"_reader", "_writer", "_parser"} <= set(dir(connection))
    assert "_reader" in dir(connection._parser)
    assert list(inspect.signature(connection.connect_check_health).parameters) == [
        "check_health",
        "retry_socket_connect",
    ]
