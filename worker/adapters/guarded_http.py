"""Fills the ports ``SourceFetcher`` and ``CallbackSender``: HTTP to addresses that strangers gave us.

One guarded client for both: a name is resolved once, every address is checked, and the connection
goes to the address that was checked. No redirects, no proxies from the environment, no user names
in addresses, nothing that is not public - unless the operator allows loopback, for development.
"""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from http import HTTPStatus
from ipaddress import ip_network
from pathlib import Path

import httpx
from pydantic import SecretStr
from ssrfguard import DEFAULT_DENIED, AddressTable, Block, Policy, Reach, Resolver, SSRFGuardError
from ssrfguard.httpx import AsyncSafeTransport
from standardwebhooks.webhooks import Webhook

from schemas.errors import (
    CallbackRefused,
    CallbackRejected,
    DocumentTooLarge,
    Misconfigured,
    SourceRefused,
    SourceUnavailable,
)
from schemas.sent_callback import SentCallback
from worker.idle_first import IdleFirst
from worker.ports import CallbackSender, Receipt, SourceFetcher

Tell = Callable[[str, SentCallback], Awaitable[None]]

_LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
_WEB_PORTS = frozenset({80, 443, 8080, 8443})
_TIMEOUT = httpx.Timeout(15.0, connect=5.0)
_ONE_CONNECTION = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=30.0)
_FETCH_TOTAL_S = 300.0
_SEND_TOTAL_S = 20.0
_LONGEST_WAIT_S = 3600.0
_KEY_BYTES = range(24, 65)
# The client's faults that time may heal; every other 4xx is a no for good.
_HEALING = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})

# Public by number, but on one cloud every machine finds that cloud's own services there, and
# ssrfguard 0.4.1 does not know it.
_AZURE = Block(ip_network("168.63.129.16/32"), "Cloud metadata (Azure)", "", Reach.DENIED)
_DENIED = AddressTable((*DEFAULT_DENIED.blocks, _AZURE))


def policy(*, allow_loopback: bool) -> Policy:
    """Say where a guarded client may go."""
    return Policy(
        denied_networks=_DENIED,
        allowed_networks=_LOOPBACK if allow_loopback else (),
        # Made when it is asked for: as a set, all ports are 4 MB.
        allowed_ports=frozenset(range(1, 65536)) if allow_loopback else _WEB_PORTS,
    )


@asynccontextmanager
async def guarded_client(*, allow_loopback: bool, resolver: Resolver | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """Open the client that both adapters share; ``resolver`` stands in for ``socket.getaddrinfo``."""
    guarded = partial(
        AsyncSafeTransport,
        policy=policy(allow_loopback=allow_loopback),
        resolver=resolver,
        trust_env=False,
        # Reading the machine's certificates takes longer than a request.
        verify=httpx.create_ssl_context(trust_env=False),
        limits=_ONE_CONNECTION,
    )
    async with httpx.AsyncClient(
        transport=IdleFirst(guarded),
        timeout=_TIMEOUT,
        follow_redirects=False,
        trust_env=False,
        headers={"User-Agent": "Corral"},
    ) as client:
        yield client


def signer(secret: SecretStr | None) -> Webhook:
    """Make what signs callbacks out of the operator's secret.

    Raises:
        Misconfigured: it is missing, or not ``whsec_`` and base64 of 24 to 64 bytes.
    """
    if secret is None:
        raise Misconfigured("CORRAL_CALLBACK_SECRET is missing; `corral secret` makes one")
    prefix, _, encoded = secret.get_secret_value().partition("_")
    try:
        key = base64.b64decode(encoded, validate=True)
    except ValueError:
        key = b""
    if prefix != "whsec" or len(key) not in _KEY_BYTES:
        # Of 24 to 64 bytes, as Standard Webhooks 1.0.0 demands: its verifiers refuse others.
        raise Misconfigured(
            "CORRAL_CALLBACK_SECRET is not whsec_ and base64 of 24 to 64 bytes; `corral secret` makes one"
        )
    return Webhook(key)


class HttpSourceFetcher(SourceFetcher):
    """Fetches documents over HTTP."""

    def __init__(self, client: httpx.AsyncClient, *, limit_bytes: int) -> None:
        """Fetch files of at most ``limit_bytes`` through a guarded client that the caller closes."""
        self._client = client
        self._limit_bytes = limit_bytes

    async def fetch(self, url: str, into: Path) -> str:
        """Stream the file to ``into``; see the port."""
        with _translated(SourceRefused, SourceUnavailable):
            async with asyncio.timeout(_FETCH_TOTAL_S), self._client.stream("GET", url) as response:
                _demand_success(response)
                await _save(response, into, self._limit_bytes)
                return str(response.headers.get("content-type", "application/octet-stream"))


class HttpCallbackSender(CallbackSender):
    """Signs with the operator's secret and POSTs."""

    def __init__(
        self, client: httpx.AsyncClient, webhook: Webhook, tell: Tell | None = None, *, timeout_s: float = _SEND_TOTAL_S
    ) -> None:
        """Send through a guarded client that the caller closes, signed by ``webhook``; ``tell`` hears of each try."""
        self._tell = tell
        self._client = client
        self._webhook = webhook
        self._timeout_s = timeout_s

    async def send(self, url: str, *, tenant: str, webhook_id: str, body: bytes) -> Receipt:
        """POST under the headers of Standard Webhooks 1.0.0; see the port."""
        # Of the attempt, not of the event: receivers refuse what is older than five minutes.
        now = datetime.now(UTC)
        headers = {
            "content-type": "application/json",
            "webhook-id": webhook_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._webhook.sign(webhook_id, now, body.decode()),
        }
        if self._tell is not None:
            # Before it is known whether the address can be reached: who listens may be the only one who can.
            await self._tell(tenant, SentCallback(url=url, headers=headers, body=body.decode()))
        begun = time.perf_counter()
        with _translated(CallbackRefused, CallbackRejected):
            # The answer's body is nobody's business: it is closed unread.
            async with (
                asyncio.timeout(self._timeout_s),
                self._client.stream("POST", url, content=body, headers=headers) as response,
            ):
                status = response.status_code
        if response.is_success:
            return Receipt(status, time.perf_counter() - begun)
        if status == HTTPStatus.GONE:
            raise CallbackRefused("the receiver answered 410 gone; it wants no more callbacks")
        wait_s = _retry_after_s(response)
        raise CallbackRejected(f"the receiver answered {status}; it must answer 2xx", retry_after_s=wait_s)


@contextmanager
def _translated(
    refused: type[SourceRefused | CallbackRefused], failed: type[SourceUnavailable | CallbackRejected]
) -> Iterator[None]:
    try:
        yield
    except SSRFGuardError as error:
        raise refused("the address may not be reached from here; use a public http or https address") from error
    except httpx.InvalidURL as error:
        raise refused("the address is not a valid url") from error
    except TimeoutError as error:
        raise failed("the other side took too long to answer") from error
    except httpx.HTTPError as error:
        raise failed(f"the other side could not be reached ({type(error).__name__})") from error


def _demand_success(response: httpx.Response) -> None:
    status = response.status_code
    if response.is_success:
        return
    if response.is_server_error or status in _HEALING:
        wait_s = _retry_after_s(response)
        raise SourceUnavailable(f"the source answered {status}; corral tries again", retry_after_s=wait_s)
    what = "redirects, which are not followed" if response.is_redirect else f"answered {status}"
    raise SourceRefused(f"the source {what}; give the address of the file itself")


async def _save(response: httpx.Response, into: Path, limit_bytes: int) -> None:
    size_bytes = 0
    with into.open("wb") as file:
        async for chunk in response.aiter_bytes():
            size_bytes += len(chunk)
            if size_bytes > limit_bytes:
                raise DocumentTooLarge(f"the source has more than {limit_bytes:,} bytes; split the document")
            await asyncio.to_thread(file.write, chunk)


def _retry_after_s(response: httpx.Response) -> float:
    """Read ``Retry-After``, seconds or a date (RFC 9110, 10.2.3), clamped to an hour."""
    stated = response.headers.get("retry-after", "")
    if stated.isdecimal():
        return min(float(stated), _LONGEST_WAIT_S)
    try:
        wait_s = (parsedate_to_datetime(stated) - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError):
        return 0.0
    return min(max(wait_s, 0.0), _LONGEST_WAIT_S)
