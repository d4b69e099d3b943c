"""HTTP connections for a client that sends to many origins at once: whoever sends takes an idle one, or opens one.

The pool of ``httpcore`` looks at every connection that it has, twice for each request, and asks the system
of each idle one whether it is still there: with 20 connections that is two thirds of what a request costs. Here a
transport holds one connection, and is on a shelf of its origin while nobody uses it.
"""

import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import cast

import httpx

IDLE_LIMIT = 200
IDLE_S = 30.0

_Origin = tuple[str, str, int | None]


class IdleFirst(httpx.AsyncBaseTransport):
    """A transport made of many, each for one request at a time."""

    def __init__(
        self,
        make: Callable[[], httpx.AsyncBaseTransport],
        *,
        idle_limit: int = IDLE_LIMIT,
        idle_s: float = IDLE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep at most ``idle_limit`` idle ones that ``make`` made, each for ``idle_s`` seconds at the most."""
        self._make = make
        self._idle_limit = idle_limit
        self._idle_s = idle_s
        self._clock = clock
        self._shelves: dict[_Origin, list[httpx.AsyncBaseTransport]] = {}
        # In the order in which they became idle, the longest first.
        self._idle: OrderedDict[httpx.AsyncBaseTransport, tuple[_Origin, float]] = OrderedDict()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send on the connection of this origin that was used last; it is idle again when the answer is closed."""
        origin = (request.url.scheme, request.url.host, request.url.port)
        transport = self._take(origin)
        answered = False
        try:
            response = await transport.handle_async_request(request)
            answered = True
        finally:
            if not answered:
                await transport.aclose()
        body = cast("httpx.AsyncByteStream", response.stream)
        response.stream = _Lent(body, partial(self._put_back, origin, transport))
        return response

    async def aclose(self) -> None:
        """Close what is idle."""
        while self._idle:
            await self._close_oldest()

    def _take(self, origin: _Origin) -> httpx.AsyncBaseTransport:
        shelf = self._shelves.get(origin)
        if not shelf:
            return self._make()
        transport = shelf.pop()
        del self._idle[transport]
        if not shelf:
            del self._shelves[origin]
        return transport

    async def _put_back(self, origin: _Origin, transport: httpx.AsyncBaseTransport) -> None:
        now = self._clock()
        self._shelves.setdefault(origin, []).append(transport)
        self._idle[transport] = (origin, now)
        while len(self._idle) > self._idle_limit or next(iter(self._idle.values()))[1] < now - self._idle_s:
            await self._close_oldest()

    async def _close_oldest(self) -> None:
        transport, (origin, _) = self._idle.popitem(last=False)
        shelf = self._shelves[origin]
        # Of its origin it is the first on the shelf, for they are taken from the other end.
        shelf.pop(0)
        if not shelf:
            del self._shelves[origin]
        await transport.aclose()


class _Lent(httpx.AsyncByteStream):
    """The body of an answer, whose end gives its connection back."""

    def __init__(self, body: httpx.AsyncByteStream, give_back: Callable[[], Awaitable[None]]) -> None:
        self._body = body
        self._give_back = give_back

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._body:
            yield chunk

    async def aclose(self) -> None:
        try:
            await self._body.aclose()
        finally:
            await self._give_back()
