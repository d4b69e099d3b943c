"""What the pipelining client does when the network or the server fails: every call ends, and with its own reply."""

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio.retry import Retry
from redis.backoff import FullJitterBackoff, NoBackoff
from redis.exceptions import AuthenticationError, ConnectionError, TimeoutError, WatchError  # noqa: A004

from corral.stack import free_port
from corral.valkey import ValkeyServer, embedded_valkey
from producers.pipelining import CommandTimeoutError, ConnectionLostError, PipeliningRedis
from tests.support.fault_proxy import FaultProxy
from tests.support.until import until

Options = dict[str, Any]
Client = Any  # redis-py types each method for its blocking and its async client at once


def fail_fast(**options: object) -> Client:
    """Make a client as the API has one."""
    limits: Options = {"socket_connect_timeout": 0.3, "socket_timeout": 0.4, "retry": Retry(NoBackoff(), 0)}
    return PipeliningRedis(decode_responses=True, **(limits | options))


def patient(**options: object) -> Client:
    """Make a client as a worker has one, with a shorter limit for a command."""
    limits: Options = {"socket_connect_timeout": 2, "socket_timeout": 5, "retry": Retry(FullJitterBackoff(1, 0.05), 50)}
    return PipeliningRedis(decode_responses=True, **(limits | options))


async def test_a_cut_in_the_middle_of_replies_ends_every_call(proxy: FaultProxy) -> None:
    """Who has a whole reply gets it; all others hear that their command may have run; the next call works."""
    async with patient(port=proxy.port) as client:
        await client.set("k", "x" * 1_000)
        proxy.to_client.cut_after(2_500)
        ends = await asyncio.gather(*(client.get("k") for _ in range(10)), return_exceptions=True)
        assert ends[:2] == ["x" * 1_000] * 2
        assert {type(end) for end in ends[2:]} == {ConnectionLostError}
        assert "may or may not have run" in str(ends[2])
        assert await client.get("k") == "x" * 1_000
        assert proxy.accepted == 2


async def test_a_call_that_may_have_run_is_not_run_twice(proxy: FaultProxy) -> None:
    """The server ran the command and its reply was lost: the counter shows one."""
    async with patient(port=proxy.port) as client:
        await client.delete("n")
        proxy.to_client.cut_after(0)
        with pytest.raises(ConnectionLostError):
            await client.incr("n")
        assert await client.get("n") == "1"


@pytest.mark.parametrize("transaction", [True, False])
async def test_a_cut_pipeline_is_not_run_twice(proxy: FaultProxy, *, transaction: bool) -> None:
    """A block is one call: cut in the middle of its replies it ends in one error."""
    async with patient(port=proxy.port) as client:
        await client.delete("n")
        proxy.to_client.cut_after(6)
        with pytest.raises(ConnectionLostError):
            await client.pipeline(transaction=transaction).incr("n").incr("n").execute()
        assert await client.get("n") == "2"


async def test_a_cut_write_runs_no_half_transaction(proxy: FaultProxy) -> None:
    """The server got the half of a transaction: nothing of it has run."""
    async with patient(port=proxy.port) as client:
        await client.delete("n")
        proxy.to_server.cut_after(50)
        with pytest.raises(ConnectionLostError):
            await client.pipeline(transaction=True).incr("n").incr("n").incr("n").execute()
        assert await client.get("n") is None


@pytest.mark.parametrize("command", ["blpop", "bzpopmin"])
async def test_a_cut_blocking_read_is_not_read_twice(proxy: FaultProxy, command: str) -> None:
    """redis-py would have read again, and lost what the first read had taken."""
    async with patient(port=proxy.port) as client:
        await client.delete("l", "z")
        read = asyncio.create_task(getattr(client, command)(["l", "z"], timeout=5))
        await until(lambda: _is_blocked(client))
        proxy.cut()
        with pytest.raises(ConnectionLostError):
            await read


async def test_a_cut_while_watching_is_no_reason_to_repeat(proxy: FaultProxy) -> None:
    """redis-py says WatchError, upon which a transaction is repeated; the EXEC may have run."""
    async with patient(port=proxy.port) as client:
        await client.delete("n")
        async with client.pipeline() as pipe:
            await pipe.watch("n")
            pipe.multi()
            pipe.incr("n")
            proxy.to_client.cut_after(0)
            with pytest.raises(ConnectionLostError) as caught:
                await pipe.execute()
        assert not isinstance(caught.value, WatchError)
        assert await client.get("n") == "1"


async def test_a_stalled_server_breaks_the_connection_within_the_limit(proxy: FaultProxy) -> None:
    """The late call says that it is late, a younger one that its connection broke, and no reply is mixed up."""
    async with fail_fast(port=proxy.port) as client:
        await client.mset({"a": "1", "b": "2"})
        proxy.to_client.stall()
        started = time.monotonic()
        late = asyncio.create_task(client.get("a"))
        await until(lambda: time.monotonic() > started + 0.1)
        young = asyncio.create_task(client.get("b"))
        with pytest.raises(CommandTimeoutError):
            await late
        assert 0.35 < time.monotonic() - started < 0.6
        with pytest.raises(ConnectionLostError) as caught:
            await young
        assert not isinstance(caught.value, TimeoutError)
        proxy.to_client.flow()
        assert list(await asyncio.gather(client.get("b"), client.get("a"))) == ["2", "1"]


async def test_a_client_without_a_server_fails_fast() -> None:
    """Nobody listens: every caller hears it at once, and none is told that the command may have run."""
    async with fail_fast(port=free_port()) as client:
        started = time.monotonic()
        ends = await asyncio.gather(*(client.ping() for _ in range(100)), return_exceptions=True)
        assert time.monotonic() - started < 0.3
    assert {type(end) for end in ends} == {ConnectionError}


async def test_a_server_that_takes_no_connection_is_given_up_in_time(proxy: FaultProxy) -> None:
    """The socket opens and nothing answers: the limit is that of the connection, not of each step in it."""
    proxy.to_client.stall()
    async with fail_fast(port=proxy.port) as client:
        started = time.monotonic()
        with pytest.raises(TimeoutError) as caught:
            await client.ping()
        assert time.monotonic() - started < 0.5
        assert not isinstance(caught.value, ConnectionLostError)


async def test_a_patient_client_outlasts_an_outage(proxy: FaultProxy) -> None:
    """Calls that were not written wait for the next connection, and share it."""
    async with patient(port=proxy.port) as client:
        await client.ping()
        proxy.refuse()
        proxy.cut()
        await until(lambda: _is_gone(client))
        calls = [asyncio.create_task(client.echo(str(n))) for n in range(20)]
        await until(lambda: proxy.accepted > 5)
        proxy.accept()
        assert await asyncio.gather(*calls) == [str(n) for n in range(20)]
        accepted = proxy.accepted
        assert await client.ping()
    assert proxy.accepted == accepted


async def test_tries_to_connect_are_spread(proxy: FaultProxy) -> None:
    """The waits grow and differ between clients, so a fleet does not come back in step."""
    proxy.refuse()
    async with patient(port=proxy.port, retry=Retry(FullJitterBackoff(0.2, 0.05), 4)) as client:
        with pytest.raises(ConnectionError):
            await client.ping()
    assert proxy.accepted == 5


async def test_a_stopped_server_fails_fast_and_comes_back(tmp_path: Path) -> None:
    """SIGSTOP: each call ends within the limits, and SIGCONT heals it."""
    with embedded_valkey(tmp_path) as server:
        async with fail_fast(unix_socket_path=str(server.socket)) as client:
            await client.set("k", "v")
            os.kill(server.pid, signal.SIGSTOP)
            try:
                for _ in range(3):
                    started = time.monotonic()
                    with pytest.raises((ConnectionError, TimeoutError)):
                        await client.get("k")
                    assert time.monotonic() - started < 0.6
            finally:
                os.kill(server.pid, signal.SIGCONT)
            assert await client.get("k") == "v"


async def test_a_killed_server_comes_back_with_name_database_and_scripts(tmp_path: Path) -> None:
    """After kill -9 and a restart the same client works on: name, database and scripts are there again."""
    port = free_port()
    with embedded_valkey(tmp_path, port=port) as server:
        client = patient(port=port, db=3)
        script = client.register_script("return redis.call('INCR', KEYS[1])")
        await client.client_setname("corral:w")
        assert [await script(keys=["n"]), await script(keys=["n"])] == [1, 2]
        os.kill(server.pid, signal.SIGKILL)
        await until(lambda: _is_gone(client))
        waiting = asyncio.create_task(script(keys=["n"]))
    with embedded_valkey(tmp_path, port=port):
        assert await waiting in {1, 2, 3}
        assert await client.client_getname() == "corral:w"
        assert (await client.client_info())["db"] == 3
        pipe = client.pipeline(transaction=True)
        await script(keys=["m"], client=pipe)
        await client.script_flush()
        assert await pipe.execute() == [1]
        await client.aclose()


async def test_a_wrong_password_is_not_tried_again(valkey: ValkeyServer, proxy: FaultProxy) -> None:
    """No back-off makes a password right."""
    async with patient(unix_socket_path=str(valkey.socket)) as admin:
        rules: Options = {"enabled": True, "passwords": ["+secret"], "keys": ["own:*"], "commands": ["+@all"]}
        await admin.acl_setuser("tester", **rules)
        try:
            async with patient(port=proxy.port, username="tester", password="wrong") as client:
                with pytest.raises(AuthenticationError):
                    await client.ping()
            assert proxy.accepted == 1
            async with patient(port=proxy.port, username="tester", password="secret") as client:
                ends = await asyncio.gather(
                    client.set("own:k", 1), client.set("other", 1), client.delete("own:k"), return_exceptions=True
                )
            assert [str(end) for end in ends] == ["True", str(ends[1]), "1"]
            assert type(ends[1]).__name__ == "NoPermissionError"
        finally:
            await admin.acl_deluser("tester")


def _is_gone(client: Client) -> bool:
    return bool(client._link is None or client._link.broken)


async def _is_blocked(client: Client) -> bool:
    info = await client.info("clients")
    return bool(info["blocked_clients"])
