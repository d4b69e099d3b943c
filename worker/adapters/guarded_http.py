"""Fills the port ``SourceFetcher`` and POSTs callbacks: HTTP to addresses that strangers gave us.

One guarded client for both; what it refuses stands there.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path

import httpcore
import httpx
from ssrfguard import SSRFGuardError

from producers.callbacks.signing_key import SigningKey, signature_base, signed_headers
from producers.log import hide
from schemas.callback_attempt import ANSWER_LIMIT_CHARS, CallbackAttempt
from schemas.errors import (
    CallbackRefused,
    CallbackRejected,
    DocumentTooLarge,
    SourceRefused,
    SourceUnavailable,
)
from schemas.sent_callback import SentCallback
from worker.guarded_client import FAILURES, GuardedClient
from worker.ports import SourceFetcher

Tell = Callable[[SentCallback], Awaitable[None]]

_FETCH_TOTAL_S = 300.0
_SEND_TOTAL_S = 20.0
_LONGEST_WAIT_S = 3600.0
_ANSWER_S = 2.0
_ANSWER_LIMIT_BYTES = 64 * 1024
# The client's faults that time may heal; every other 4xx is a no for good.
_HEALING = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})


class HttpSourceFetcher(SourceFetcher):
    """Fetches documents over HTTP."""

    def __init__(self, client: GuardedClient, *, limit_bytes: int) -> None:
        """Fetch files of at most ``limit_bytes`` through a guarded client that the caller closes."""
        self._client = client
        self._limit_bytes = limit_bytes

    async def fetch(self, url: str, into: Path) -> str:
        """Stream the file to ``into``; see the port."""
        with _translated(SourceRefused, SourceUnavailable):
            async with asyncio.timeout(_FETCH_TOTAL_S), self._client.stream("GET", url) as answer:
                # Unpacks what a server has packed though it was not asked to.
                response = httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer))
                _demand_success(response)
                await _save(response, into, self._limit_bytes)
                return str(response.headers.get("content-type", "application/octet-stream"))


class HttpPost:
    """POSTs callbacks, signed."""

    def __init__(self, client: GuardedClient, *, timeout_s: float = _SEND_TOTAL_S) -> None:
        """Send through a guarded client that the caller closes; a receiver has ``timeout_s`` to answer."""
        self._client = client
        self._timeout_s = timeout_s

    async def __call__(
        self, url: str, keys: Sequence[SigningKey], webhook_id: str, body: bytes, tell: Tell | None = None
    ) -> CallbackAttempt:
        """POST once under the headers of Standard Webhooks 1.0.0; whatever comes of it is the attempt's.

        Only 2xx counts as delivered, and no redirect is followed. ``tell`` hears of it first: who listens may
        be the only one who can reach the address.
        """
        # Of the attempt, not of the event: receivers refuse what is older than five minutes.
        at = datetime.now(UTC)
        headers = {"content-type": "application/json", **signed_headers(keys, webhook_id, at, body)}
        if tell is not None:
            await tell(SentCallback(url=url, headers=headers, body=body.decode()))
        told = CallbackAttempt(
            at=at, url=url, latency_s=0, signature_base=signature_base(webhook_id, at, body).decode()
        )
        begun = time.perf_counter()
        try:
            with _translated(CallbackRefused, CallbackRejected):
                async with (
                    asyncio.timeout(self._timeout_s),
                    self._client.stream("POST", url, content=body, headers=headers) as response,
                ):
                    latency_s = time.perf_counter() - begun
                    return told.model_copy(update={"latency_s": latency_s} | await _read(response))
        except (CallbackRefused, CallbackRejected) as error:
            return told.model_copy(update={"latency_s": time.perf_counter() - begun, "error": error.public()})


class _Body(httpx.AsyncByteStream):
    """The body of an answer, as ``httpx`` reads it."""

    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._answer.aiter_stream():
            yield chunk


async def _read(answer: httpcore.Response) -> dict[str, object]:
    status = answer.status
    error: CallbackRefused | CallbackRejected | None = None
    if status == HTTPStatus.GONE:
        error = CallbackRefused("the receiver answered 410 gone; it wants no more callbacks")
    elif not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        error = CallbackRejected(f"the receiver answered {status}; it must answer 2xx")
    stated = next((value for name, value in answer.headers if name.lower() == b"retry-after"), b"")
    server = answer.extensions["network_stream"].get_extra_info("server_addr")
    return {
        "status": status,
        "address": server[0] if server else None,
        "answer": await _excerpt(answer),
        "error": error.public() if error else None,
        "retry_after_s": _retry_after_s(stated.decode("latin-1")),
    }


async def _excerpt(answer: httpcore.Response) -> str:
    """Give the beginning of an answer. Read to its end, its connection can be used again; its status stands anyhow."""
    kept, size_bytes = b"", 0
    with suppress(TimeoutError, *FAILURES):
        async with asyncio.timeout(_ANSWER_S):
            # As it comes: what is compressed would have to be unpacked, by whoever says how far.
            async for chunk in answer.aiter_stream():
                kept = (kept + chunk)[:ANSWER_LIMIT_CHARS]
                size_bytes += len(chunk)
                if size_bytes > _ANSWER_LIMIT_BYTES:
                    break
    if not kept:
        return ""
    text = "".join(char if char.isprintable() or char in "\n\t" else "\ufffd" for char in kept.decode(errors="replace"))
    return hide(None, "", text)


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
    except (httpx.HTTPError, *FAILURES) as error:
        raise failed(f"the other side could not be reached ({type(error).__name__})") from error


def _demand_success(response: httpx.Response) -> None:
    status = response.status_code
    if response.is_success:
        return
    if response.is_server_error or status in _HEALING:
        wait_s = _retry_after_s(response.headers.get("retry-after", ""))
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


def _retry_after_s(stated: str) -> float:
    """Read ``Retry-After``, seconds or a date (RFC 9110, 10.2.3), clamped to an hour."""
    if stated.isdecimal():
        return min(float(stated), _LONGEST_WAIT_S)
    try:
        wait_s = (parsedate_to_datetime(stated) - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError):
        return 0.0
    return min(max(wait_s, 0.0), _LONGEST_WAIT_S)
