"""Connections are used again, by whoever sends next to the same origin, and not kept for ever."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from bench.subjects.callback_receiver import Protocol, Receipts
from corral.stack import free_port
from tests.support.http_receiver import Answer, receiving
from tests.support.until import until
from worker.idle_first import IdleFirst

ONE = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=60.0)


class Transports:
    """Makes transports and knows which are closed; each opens a connection when it is first used."""

    def __init__(self) -> None:
        """Begin with none."""
        self.made: list[_Transport] = []

    def __call__(self) -> httpx.AsyncBaseTransport:
        """Make one."""
        self.made.append(_Transport(limits=ONE, trust_env=False))
        return self.made[-1]

    @property
    def open(self) -> int:
        """How many are not closed."""
        return sum(not one.is_closed for one in self.made)


class _Transport(httpx.AsyncHTTPTransport):
    is_closed = False

    async def aclose(self) -> None:
        self.is_closed = True
        await super().aclose()


@asynccontextmanager
async def receiver() -> AsyncIterator[tuple[str, Receipts]]:
    """A receiver that keeps its connections."""
    kept = [Receipts()]
    server = await asyncio.get_running_loop().create_server(lambda: Protocol(kept), "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", kept[0]


async def send(client: httpx.AsyncClient, url: str) -> None:
    """Send a callback, and read the answer."""
    answer = await client.post(url, content=b"{}", headers={"webhook-id": "1"})
    assert answer.status_code == 204


@pytest.fixture
async def transports() -> Transports:
    """What the tests' clients are made of."""
    return Transports()


def client(transports: Transports, **options: float | Callable[[], float]) -> httpx.AsyncClient:
    """A client of these transports."""
    return httpx.AsyncClient(transport=IdleFirst(transports, **options), trust_env=False)  # type: ignore[arg-type]  # the options are checked where they arrive


async def test_a_connection_is_used_again(transports: Transports) -> None:
    """One after the other go over one; as many at once as there are go over as many, then and later."""
    async with receiver() as (url, received), client(transports) as http:
        for _ in range(3):
            await send(http, url)
        assert (len(received.at), received.connections) == (3, 1)
        for _ in range(2):
            await asyncio.gather(*(send(http, url) for _ in range(5)))
        assert (len(received.at), received.connections) == (13, 5)
    assert transports.open == 0


async def test_an_origin_has_connections_of_its_own(transports: Transports) -> None:
    """Nothing meant for one goes to another."""
    async with receiver() as (one, at_one), receiver() as (other, at_other), client(transports) as http:
        for _ in range(3):
            await send(http, one)
            await send(http, other)
        assert [(len(at.at), at.connections) for at in (at_one, at_other)] == [(3, 1), (3, 1)]


async def test_only_so_many_stay_idle(transports: Transports) -> None:
    """Those that have been idle for longest are closed, whosever they were."""
    async with receiver() as (one, at_one), receiver() as (other, _), client(transports, idle_limit=2) as http:
        await send(http, one)
        await asyncio.gather(*(send(http, other) for _ in range(3)))
        assert transports.open == 2
        await send(http, one)
        assert at_one.connections == 2


async def test_none_stays_idle_for_long(transports: Transports) -> None:
    """The next one that comes back ends those whose time is over."""
    now = [0.0]
    async with receiver() as (url, received), client(transports, idle_s=10, clock=lambda: now[0]) as http:
        await asyncio.gather(*(send(http, url) for _ in range(4)))
        now[0] = 11
        await send(http, url)
        assert transports.open == 1
        assert received.connections == 4


async def test_one_that_failed_is_not_used_again(transports: Transports) -> None:
    """Neither after a refusal nor after a cancel; whoever sends next begins anew."""
    async with client(transports) as http:
        with pytest.raises(httpx.ConnectError):
            await send(http, f"http://127.0.0.1:{free_port()}/")
        assert transports.open == 0
        async with receiving() as silent:
            silent.answers = [Answer(hangs=True)]
            sending = asyncio.create_task(send(http, silent.url))
            await until(lambda: bool(silent.requests))
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            assert transports.open == 0


async def test_an_answer_that_is_not_read_costs_its_connection_alone(transports: Transports) -> None:
    """The transport is idle again and opens another one."""
    async with receiver() as (url, received), client(transports) as http:
        for _ in range(2):
            async with http.stream("POST", url, content=b"{}", headers={"webhook-id": "1"}):
                pass
        assert len(transports.made) == 1
        assert len(received.at) == 2
