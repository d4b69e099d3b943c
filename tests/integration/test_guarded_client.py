"""Connections are used again, by whoever sends next to the same origin, and not kept for ever."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpcore
import pytest

from corral.stack import free_port
from tests.support.http_receiver import Answer, HttpReceiver, receiving
from tests.support.resolver import StubResolver
from tests.support.tls import self_signed, speaking_tls
from tests.support.until import until
from worker.guarded_client import GuardedClient


@asynccontextmanager
async def keeping() -> AsyncIterator[HttpReceiver]:
    """A receiver that keeps its connections."""
    async with receiving() as receiver:
        receiver.keeps_alive = True
        yield receiver
        receiver.hang_up()


async def send(client: GuardedClient, url: str, *, reads: bool = True) -> None:
    """Send a callback, and read the answer."""
    async with client.stream("POST", url, content=b"{}", headers={"webhook-id": "1"}) as answer:
        assert answer.status == 204
        if reads:
            await answer.aread()


async def test_a_connection_is_used_again() -> None:
    """One after the other go over one; as many at once as there are go over as many, then and later."""
    async with keeping() as received, GuardedClient(allow_loopback=True) as client:
        for _ in range(3):
            await send(client, received.url)
        assert (len(received.requests), received.connections) == (3, 1)
        for _ in range(2):
            await asyncio.gather(*(send(client, received.url) for _ in range(5)))
        assert (len(received.requests), received.connections) == (13, 5)


async def test_an_origin_has_connections_of_its_own() -> None:
    """Nothing meant for one goes to another."""
    async with (
        keeping() as at_one,
        keeping() as at_other,
        GuardedClient(allow_loopback=True) as client,
    ):
        for _ in range(3):
            await send(client, at_one.url)
            await send(client, at_other.url)
        assert [(len(at.requests), at.connections) for at in (at_one, at_other)] == [(3, 1), (3, 1)]


async def test_only_so_many_stay_idle() -> None:
    """Those that have been idle for longest are closed, whosever they were."""
    async with (
        keeping() as at_one,
        keeping() as at_other,
        GuardedClient(allow_loopback=True, idle_limit=2) as client,
    ):
        await send(client, at_one.url)
        await asyncio.gather(*(send(client, at_other.url) for _ in range(3)))
        await until(lambda: (at_one.open, at_other.open) == (0, 2))
        await send(client, at_one.url)
        assert at_one.connections == 2
    await until(lambda: (at_one.open, at_other.open) == (0, 0))


async def test_none_stays_idle_for_long() -> None:
    """The next one that comes back ends those whose time is over."""
    now = [0.0]
    async with keeping() as received, GuardedClient(allow_loopback=True, clock=lambda: now[0]) as client:
        await asyncio.gather(*(send(client, received.url) for _ in range(4)))
        now[0] = 31
        await send(client, received.url)
        await until(lambda: received.open == 1)
        assert received.connections == 4


async def test_one_that_the_other_side_has_closed_is_not_used_again() -> None:
    """It is found out before a request is written, so that none is lost."""
    async with keeping() as received, GuardedClient(allow_loopback=True) as client:
        await send(client, received.url)
        received.hang_up()
        await until(lambda: received.open == 0)
        await send(client, received.url)
        assert (len(received.requests), received.connections) == (2, 2)


async def test_one_that_failed_is_not_used_again() -> None:
    """Neither after a refusal nor after a cancel; whoever sends next begins anew."""
    async with GuardedClient(allow_loopback=True) as client:
        for _ in range(2):
            with pytest.raises(httpcore.ConnectError):
                await send(client, f"http://127.0.0.1:{free_port()}/")
        async with receiving() as silent:
            silent.answers = [Answer(hangs=True)]
            sending = asyncio.create_task(send(client, silent.url))
            await until(lambda: bool(silent.requests))
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            silent.answers = [Answer(204)]
            await send(client, silent.url)
            assert silent.connections == 2


async def test_an_answer_that_is_not_read_costs_its_connection_alone() -> None:
    """The next one opens another."""
    async with receiving() as large, GuardedClient(allow_loopback=True) as client:
        large.keeps_alive = True
        large.answers = [Answer(204, size_bytes=1 << 20), Answer(204, text="ok")]
        await send(client, large.url, reads=False)
        await send(client, large.url)
        assert (large.connections, len(large.requests)) == (2, 2)


async def test_a_large_body_goes_out_whole() -> None:
    """In several pieces, when it is more than is held back."""
    async with receiving() as other, GuardedClient(allow_loopback=True) as client:
        body = b"x" * 300_000
        async with client.stream("POST", other.url, content=body) as answer:
            await answer.aread()
        assert other.requests[0].body == body


async def test_tls_is_spoken_with_who_is_trusted_and_its_connection_kept(tmp_path: Path) -> None:
    """The certificate must have the name, and be vouched for."""
    certificate = self_signed("hooks.example", tmp_path)
    trusting = ssl.create_default_context(cafile=certificate)
    async with receiving(tls=speaking_tls(certificate)) as secure:
        secure.keeps_alive = True
        secure.answers = [Answer(204), Answer(204)]
        url = secure.url.replace("http://127.0.0.1", "https://hooks.example")
        async with GuardedClient(allow_loopback=True, resolver=StubResolver("127.0.0.1"), tls=trusting) as client:
            for _ in range(2):
                await send(client, url)
            with pytest.raises(httpcore.ConnectError):
                await send(client, url.replace("hooks.example", "other.example"))
    assert (secure.connections, len(secure.requests)) == (1, 2)
