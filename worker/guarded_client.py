"""The one HTTP client for addresses that strangers gave us: where it may go, and the connections that it keeps.

A name is resolved once, every address is checked, and the connection goes to the address that was checked, while
the host's name stays in SNI and ``Host``. No redirects, no proxies from the environment, no user names in addresses,
nothing that is not public - unless the operator allows loopback, for development.

It stands on ``httpcore``, the engine of ``httpx``: what that adds costs more than a callback's request. Whoever sends
takes an idle connection of the origin, or opens one; a pool would look at all that it has, twice for each request.
"""

import ssl
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import ip_network
from typing import Self

import httpcore
import httpx
from ssrfguard import DEFAULT_DENIED, AddressTable, Block, Policy, Reach, Resolver

from worker.one_write import OneWriteBackend

# What it is to send to somebody who is not there, or does not speak HTTP.
FAILURES = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError)

IDLE_LIMIT = 200
IDLE_S = 30.0

_LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
_WEB_PORTS = frozenset({80, 443, 8080, 8443})
_TIMEOUT = {"timeout": {"connect": 5.0, "read": 15.0, "write": 15.0}}
_HEADERS = ((b"User-Agent", b"Corral"), (b"Accept", b"*/*"), (b"Accept-Encoding", b"identity"))
_KNOWN_URLS = 1_000

# Public by number, but on one cloud every machine finds that cloud's own services there, and
# ssrfguard 0.4.1 does not know it.
_AZURE = Block(ip_network("168.63.129.16/32"), "Cloud metadata (Azure)", "", Reach.DENIED)
# An IPv4 address inside an IPv6 one (NAT64, 6to4, Teredo, mapped) is decoded by the package, and let through when
# it is public. Nobody needs that way in: all of them are denied.
_DENIED = AddressTable(
    tuple(
        replace(block, reach=Reach.DENIED) if block.reach is Reach.TRANSLATED else block
        for block in (*DEFAULT_DENIED.blocks, _AZURE)
    )
)


def policy(*, allow_loopback: bool) -> Policy:
    """Say where a guarded client may go."""
    return Policy(
        denied_networks=_DENIED,
        allowed_networks=_LOOPBACK if allow_loopback else (),
        # Made when it is asked for: as a set, all ports are 4 MB.
        allowed_ports=frozenset(range(1, 65536)) if allow_loopback else _WEB_PORTS,
    )


@dataclass(frozen=True)
class _Place:
    """An address that the policy allows, as it goes over the wire; ``shelf`` has the connections of its origin."""

    url: httpcore.URL
    host: bytes
    shelf: str


class GuardedClient:
    """Sends requests within its ``async with``; keeps at most 200 idle connections, each for half a minute."""

    def __init__(
        self,
        *,
        allow_loopback: bool,
        resolver: Resolver | None = None,
        tls: ssl.SSLContext | None = None,
        idle_limit: int = IDLE_LIMIT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Go where the policy allows; ``resolver`` replaces ``socket.getaddrinfo``, ``tls`` the web's trust."""
        self._policy = policy(allow_loopback=allow_loopback)
        self._backend = OneWriteBackend(policy=self._policy, resolver=resolver)
        # Reading the machine's certificates takes longer than a request.
        self._tls = tls or httpx.create_ssl_context(trust_env=False)
        self._idle_limit = idle_limit
        self._clock = clock
        self._place = lru_cache(_KNOWN_URLS)(self._checked)
        self._shelves: dict[str, list[httpcore.AsyncHTTPConnection]] = {}
        # In the order in which they became idle, the longest first.
        self._idle: OrderedDict[httpcore.AsyncHTTPConnection, tuple[str, float]] = OrderedDict()

    @asynccontextmanager
    async def stream(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, content: bytes | None = None
    ) -> AsyncIterator[httpcore.Response]:
        """Send a request, and give the answer as it comes. Read to its end, its connection is used again.

        Raises:
            SSRFGuardError: the address, or one that its name leads to, is not allowed.
            httpx.InvalidURL: the address cannot be read.
            FAILURES: the other side could not be reached, or does not speak HTTP.
        """
        place = self._place(url)
        given = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
        if content is not None:
            given.append((b"Content-Length", b"%d" % len(content)))
        sent = [(b"Host", place.host), *_HEADERS, *given]
        request = httpcore.Request(method, place.url, headers=sent, content=content, extensions=_TIMEOUT)
        connection = await self._take(place)
        try:
            response = await connection.handle_async_request(request)
            try:
                yield response
            finally:
                await response.aclose()
        finally:
            await self._put_back(place, connection)

    async def __aenter__(self) -> Self:
        """Begin."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close what is idle."""
        while self._idle:
            await self._close_oldest()

    def _checked(self, url: str) -> _Place:
        parsed = httpx.URL(url)
        self._policy.check_url(str(parsed))
        wire = httpcore.URL(
            scheme=parsed.raw_scheme, host=parsed.raw_host, port=parsed.port, target=parsed.raw_path or b"/"
        )
        # Where its name leads is looked at each time that a connection is opened.
        return _Place(wire, parsed.netloc, str(wire.origin))

    async def _take(self, place: _Place) -> httpcore.AsyncHTTPConnection:
        while shelf := self._shelves.get(place.shelf):
            connection = self._off_shelf(place.shelf, shelf, -1)
            if not connection.has_expired():
                return connection
            # The other side has closed it in the meantime.
            await connection.aclose()
        return httpcore.AsyncHTTPConnection(place.url.origin, self._tls, network_backend=self._backend)

    async def _put_back(self, place: _Place, connection: httpcore.AsyncHTTPConnection) -> None:
        if not connection.is_available():
            await connection.aclose()
            return
        now = self._clock()
        self._shelves.setdefault(place.shelf, []).append(connection)
        self._idle[connection] = (place.shelf, now)
        while len(self._idle) > self._idle_limit or next(iter(self._idle.values()))[1] < now - IDLE_S:
            await self._close_oldest()

    async def _close_oldest(self) -> None:
        name, _ = next(iter(self._idle.values()))
        # Of its origin it is the first on the shelf, for they are taken from the other end.
        await self._off_shelf(name, self._shelves[name], 0).aclose()

    def _off_shelf(
        self, name: str, shelf: list[httpcore.AsyncHTTPConnection], place: int
    ) -> httpcore.AsyncHTTPConnection:
        connection = shelf.pop(place)
        del self._idle[connection]
        if not shelf:
            del self._shelves[name]
        return connection
