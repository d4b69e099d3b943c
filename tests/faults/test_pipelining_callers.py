"""What the pipelining client does with many callers, impatient callers, and callers with odd wishes."""

import asyncio
from typing import Any

import pytest
from redis.asyncio.retry import Retry
from redis.backoff import FullJitterBackoff
from redis.exceptions import ConnectionError  # noqa: A004

from corral.valkey import ValkeyServer
from producers.pipelining import PipeliningRedis
from tests.support.fault_proxy import FaultProxy
from tests.support.until import until

Options = dict[str, Any]
Client = Any  # redis-py types each method for its blocking and its async client at once


def patient(**options: object) -> Client:
    """Make a client as a worker has one, with a shorter limit for a command."""
    limits: Options = {"socket_connect_timeout": 2, "socket_timeout": 5, "retry": Retry(FullJitterBackoff(1, 0.05), 50)}
    return PipeliningRedis(decode_responses=True, **(limits | options))


async def test_ten_thousand_calls_wait_for_their_turn(valkey: ValkeyServer) -> None:
    """The bounds of what is under way hold at every moment, and each call gets its own reply."""
    async with patient(unix_socket_path=str(valkey.socket), max_in_flight=100, max_bytes=50_000) as client:
        await client.ping()
        calls = asyncio.gather(*(client.echo(f"{n}:" + "x" * 1_000) for n in range(10_000)))
        most = [0, 0]
        while not calls.done():
            await asyncio.sleep(0)
            link = client._link
            if link is not None:
                most = [max(most[0], len(link._in_flight) + len(link._outbox)), max(most[1], link._size)]
        assert [int(reply.split(":")[0]) for reply in await calls] == list(range(10_000))
    assert most[0] <= 100
    assert most[1] <= 50_000 + 2_000


async def test_cancelled_callers_leave_nothing_behind(valkey: ValkeyServer) -> None:
    """Cancelled while waiting, before the write or in flight: the others get their own replies, and all room back."""
    async with patient(unix_socket_path=str(valkey.socket), max_in_flight=20) as client:
        await client.ping()
        for turns in range(6):
            calls = [asyncio.create_task(client.echo(str(n))) for n in range(200)]
            for _ in range(turns):
                await asyncio.sleep(0)
            for n, call in enumerate(calls):
                if n % 3:
                    call.cancel()
            ends = await asyncio.gather(*calls, return_exceptions=True)
            assert [end for n, end in enumerate(ends) if n % 3 == 0] == [str(n) for n in range(0, 200, 3)]
        assert await client.echo("after") == "after"
        assert client._link is not None
        assert (client._link._size, len(client._link._in_flight), len(client._link._waiting)) == (0, 0, 0)


async def test_a_call_cancelled_before_the_write_does_not_run(valkey: ValkeyServer) -> None:
    """Nothing of it reaches the server."""
    async with patient(unix_socket_path=str(valkey.socket)) as client:
        await client.delete("n")
        # Those before it are under way, so it waits for the end of the turn.
        before = [asyncio.create_task(client.ping()) for _ in range(2)]
        call = asyncio.create_task(client.incr("n"))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.gather(call, *before, return_exceptions=True)
        assert await client.get("n") is None


async def test_huge_values_pass_beside_small_ones(valkey: ValkeyServer) -> None:
    """A value of 30 MB goes and comes whole, above the bound of bytes, and small calls keep their replies."""
    huge = "x" * 30_000_000
    async with patient(unix_socket_path=str(valkey.socket)) as client:
        ends = await asyncio.gather(client.echo("a"), client.set("huge", huge), client.echo("b"), client.get("huge"))
        await client.delete("huge")
    assert (ends[0], ends[1], ends[2], ends[3] == huge) == ("a", True, "b", True)


async def test_a_reply_that_is_no_text_is_its_callers_trouble_alone(valkey: ValkeyServer) -> None:
    """A client that decodes cannot read bytes: that caller hears so, and its neighbours get their replies."""
    async with patient(unix_socket_path=str(valkey.socket)) as client:
        await client.rpush("bytes", b"\xff\xfe", "text", b"\xff")
        ends = await asyncio.gather(
            client.echo("a"), client.lrange("bytes", 0, -1), client.echo("b"), return_exceptions=True
        )
        await client.delete("bytes")
        assert (ends[0], type(ends[1]), ends[2]) == ("a", UnicodeDecodeError, "b")
        assert await client.echo("c") == "c"


async def test_closing_waits_for_replies_and_ends_who_waits_for_a_connection(proxy: FaultProxy) -> None:
    """A closed client owes nobody; a later command opens a new connection."""
    async with patient(port=proxy.port) as client:
        await client.ping()
        proxy.to_client.delay_s = 0.1
        call = asyncio.create_task(client.echo("x"))
        await asyncio.sleep(0)
        await client.aclose()
        assert await call == "x"
        proxy.refuse()
        waiting = asyncio.create_task(client.ping())
        await until(lambda: proxy.accepted > 1)
        await client.aclose()
        with pytest.raises(ConnectionError):
            await waiting
        proxy.accept()
        assert await client.ping()


async def test_delays_below_the_limit_are_only_slow(proxy: FaultProxy) -> None:
    """Nothing is given up that comes in time."""
    async with patient(port=proxy.port, socket_timeout=0.4) as client:
        await client.ping()
        proxy.to_client.delay_s = 0.15
        assert await asyncio.gather(*(client.echo(str(n)) for n in range(50))) == [str(n) for n in range(50)]
        assert proxy.accepted == 1


async def test_replies_in_single_bytes_are_put_together(proxy: FaultProxy) -> None:
    """A reply may come in any pieces."""
    async with patient(port=proxy.port) as client:
        await client.set("k", "ü" * 20)
        proxy.to_client.piece_bytes = 1
        assert list(await asyncio.gather(client.get("k"), client.ping(), client.get("k"))) == ["ü" * 20, True, "ü" * 20]
