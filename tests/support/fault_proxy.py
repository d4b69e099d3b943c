"""A loopback proxy that does to a server's connections what networks do: cut, stall, delay, end in mid-sentence.

async with fault_proxy(valkey.socket) as proxy:
    client = Redis(port=proxy.port)
    proxy.to_client.cut_after(7)      # the next reply ends in the middle of its seventh byte
    proxy.to_server.stall()           # nothing arrives any more; flow() lets it through
    proxy.to_server.swallows = b"GET" # a piece with these bytes in it never arrives
    proxy.to_server.swaps = b"ab", b"cd" # these bytes arrive as those, which are as many
    proxy.to_client.delay_s = 0.2     # every piece is late
    proxy.cut()                       # all connections end now
    proxy.refuse()                    # and new ones are cut at once; accept() ends that
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path


class Flow:
    """What passes in one direction, over all connections."""

    def __init__(self) -> None:
        """Let everything through at once."""
        self.delay_s = 0.0
        self.piece_bytes = 65_536
        self.pieces = 0
        self._bytes_left: int | None = None
        self._moving = asyncio.Event()
        self._moving.set()
        self.swallows = b""
        self.swaps = b"", b""

    def stall(self) -> None:
        """Hold back what comes from now on."""
        self._moving.clear()

    def flow(self) -> None:
        """Let pass what was held back and what comes."""
        self._moving.set()

    def cut_after(self, count: int) -> None:
        """Let ``count`` bytes more pass, then cut the connection that carries the last of them. Works once."""
        self._bytes_left = count

    async def admit(self, piece: bytes) -> tuple[bytes, bool]:
        """Give what may pass of a piece, when it may, and whether its connection is cut after that."""
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        await self._moving.wait()
        is_last = self._bytes_left is not None and len(piece) >= self._bytes_left
        if self._bytes_left is not None:
            piece = piece[: self._bytes_left]
            self._bytes_left = None if is_last else self._bytes_left - len(piece)
        self.pieces += 1
        return piece.replace(*self.swaps) if self.swaps[0] else piece, is_last


class FaultProxy:
    """A proxy before one server; ``port`` is where it listens on 127.0.0.1."""

    def __init__(self, server: Path | int) -> None:
        """Stand before a unix socket or a port on loopback."""
        self.port = 0
        self.accepted = 0
        self.to_server = Flow()
        self.to_client = Flow()
        self._server = server
        self._refuses = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def cut(self) -> None:
        """End every connection, as a reset does."""
        for writer in self._writers:
            writer.transport.abort()

    def refuse(self) -> None:
        """Cut every connection that comes from now on."""
        self._refuses = True

    def accept(self) -> None:
        """Take connections again."""
        self._refuses = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until one of its ends, or the test, ends it."""
        self.accepted += 1
        if self._refuses:
            writer.transport.abort()
            return
        if isinstance(self._server, Path):
            server_reader, server_writer = await asyncio.open_unix_connection(self._server)
        else:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._server)
        ends = {writer, server_writer}
        self._writers |= ends
        pumps = {
            asyncio.create_task(_carry(self.to_server, reader, server_writer)),
            asyncio.create_task(_carry(self.to_client, server_reader, writer)),
        }
        self._tasks |= pumps
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.transport.abort()
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        self._tasks -= pumps
        self._writers -= ends

    async def close(self) -> None:
        """End what is still carried."""
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _carry(flow: Flow, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(flow.piece_bytes):
            piece, is_last = await flow.admit(piece)
            if flow.swallows and flow.swallows in piece:
                continue
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
            if is_last:
                return


@asynccontextmanager
async def fault_proxy(server: Path | int, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[FaultProxy]:
    """Run a proxy before a unix socket or a port; with ``tls`` its clients speak TLS, and the server plainly."""
    proxy = FaultProxy(server)
    listening = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, ssl=tls)
    proxy.port = listening.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        listening.close()
        await proxy.close()
        await listening.wait_closed()
