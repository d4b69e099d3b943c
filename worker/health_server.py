"""The worker's small HTTP server: it answers a few addresses that machines look at, and nothing else.

It runs on the loop that takes the jobs: an answer is the proof that the loop is alive.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from schemas.errors import Misconfigured

_REQUEST_S = 5.0
_LONGEST_REQUEST_BYTES = 16 * 1024


@dataclass(frozen=True)
class Answer:
    """What is said to a request."""

    status: HTTPStatus
    media_type: str
    body: bytes


Routes = Mapping[str, Callable[[], Awaitable[Answer]]]


@dataclass(frozen=True)
class Address:
    """Where to listen: a host and a port, or a unix socket."""

    host: str = ""
    port: int = 0
    socket: Path | None = None


def verdict(reasons: list[str]) -> Answer:
    """Say yes, or no with the reasons."""
    if not reasons:
        return Answer(HTTPStatus.OK, "application/json", b'{"status": "ok"}')
    body = json.dumps({"status": "not ok", "reasons": reasons}).encode()
    return Answer(HTTPStatus.SERVICE_UNAVAILABLE, "application/json", body)


@asynccontextmanager
async def serving(address: Address, routes: Routes) -> AsyncIterator[None]:
    """Answer ``GET`` on these paths for the length of a ``with`` block.

    Raises:
        Misconfigured: the address is taken or is not this machine's.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(_REQUEST_S):
                request = await reader.readuntil(b"\r\n\r\n")
                writer.write(_bytes(await _answer(request, routes)))
                await writer.drain()
        writer.close()

    try:
        if address.socket is not None:
            server = await asyncio.start_unix_server(serve, address.socket, limit=_LONGEST_REQUEST_BYTES)
        else:
            server = await asyncio.start_server(serve, address.host, address.port, limit=_LONGEST_REQUEST_BYTES)
    except OSError as error:
        where = f"port {address.port} on {address.host}"
        raise Misconfigured(f"{where} cannot be listened on; change CORRAL_WORKER_METRICS_PORT") from error
    try:
        yield
    finally:
        server.close()
        await server.wait_closed()


async def fetch(socket: Path, path: str, *, within_s: float = 2.0) -> Answer | None:
    """Ask another process's server at its unix socket; None when it does not answer."""
    try:
        async with asyncio.timeout(within_s):
            reader, writer = await asyncio.open_unix_connection(socket)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: worker\r\n\r\n".encode())
                head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
            finally:
                writer.close()
        return Answer(HTTPStatus(int(head.split()[1])), "", body)
    except (OSError, TimeoutError, ValueError, IndexError):
        return None


async def _answer(request: bytes, routes: Routes) -> Answer:
    method, _, rest = request.decode("latin-1").partition(" ")
    path = rest.partition(" ")[0].partition("?")[0]
    if path not in routes:
        return Answer(HTTPStatus.NOT_FOUND, "text/plain", f"there is only {' '.join(routes)}\n".encode())
    if method not in {"GET", "HEAD"}:
        return Answer(HTTPStatus.METHOD_NOT_ALLOWED, "text/plain", b"only GET\n")
    answer = await routes[path]()
    return answer if method == "GET" else Answer(answer.status, answer.media_type, b"")


def _bytes(answer: Answer) -> bytes:
    head = (
        f"HTTP/1.1 {int(answer.status)} {answer.status.phrase}\r\nContent-Type: {answer.media_type}\r\n"
        f"Content-Length: {len(answer.body)}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + answer.body
