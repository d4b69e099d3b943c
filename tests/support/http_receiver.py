"""An HTTP receiver on loopback that answers as told: late, hugely, with a redirect, or not at all."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import cast


@dataclass(frozen=True)
class Answer:
    """One answer, with ``text`` or with ``size_bytes`` of nothing. Of a ``hangs`` there is never one.

    One that ``stalls`` promises ``size_bytes``, sends the text, and then nothing more.
    """

    status: int = HTTPStatus.NO_CONTENT
    headers: tuple[tuple[str, str], ...] = ()
    size_bytes: int = 0
    text: str = ""
    hangs: bool = False
    stalls: bool = False


@dataclass(frozen=True)
class Request:
    """A request as it came, with its headers in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class HttpReceiver:
    """What came, in order; ``answers`` are the next ones, and then it is 204.

    A connection is closed after each answer, unless the receiver ``keeps_alive``.
    """

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    sent_bytes: int = 0
    connections: int = 0
    most_at_once: int = 0
    keeps_alive: bool = False
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        self.connections += 1
        self._open.add(writer)
        self.most_at_once = max(self.most_at_once, self.open)
        try:
            await self._answer(reader, writer)
            while self.keeps_alive:
                await self._answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return  # the other side has had enough
        finally:
            self._open.discard(writer)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    @property
    def open(self) -> int:
        """How many connections are open."""
        return len(self._open)

    def hang_up(self) -> None:
        """Close every connection, whoever uses it."""
        for writer in self._open:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append(await _read(reader))
        answer = self.answers.pop(0) if self.answers else Answer()
        if answer.hangs:
            await reader.read()
            raise ConnectionError
        text = answer.text.encode()
        length = ("content-length", str(answer.size_bytes or len(text)))
        headers = (*answer.headers, length, *(() if self.keeps_alive else (("connection", "close"),)))
        lines = [f"HTTP/1.1 {int(answer.status)} X", *(f"{name}: {value}" for name, value in headers)]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + text)
        await writer.drain()
        if answer.stalls:
            await reader.read()
            raise ConnectionError
        while self.sent_bytes < answer.size_bytes:
            writer.write(bytes(65_536))
            await writer.drain()
            self.sent_bytes += 65_536


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(first.split()[1], headers, body)


@asynccontextmanager
async def receiving(tls: ssl.SSLContext | None = None) -> AsyncIterator[HttpReceiver]:
    """Receive on a free port of loopback, in this event loop."""
    receiver = HttpReceiver()
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(cast("asyncio.Task[None]", asyncio.current_task()))
        await receiver.serve(reader, writer)

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls) as server:
        port = server.sockets[0].getsockname()[1]
        receiver.url = f"http://127.0.0.1:{port}/callbacks"
        yield receiver
    await asyncio.gather(*connections)
