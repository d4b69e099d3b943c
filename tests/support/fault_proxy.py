"""A TCP proxy on loopback that loses what it is told to: a command on its way in, or its answer on the way out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass
class FaultProxy:
    """Stands before a server's unix socket. A rule holds for the next command that contains ``needle``."""

    url: str = ""
    needle: bytes = b""
    lose_answer: bool = False
    lost: int = 0
    most_losses: int = 0

    def lose(self, needle: bytes, *, answer: bool, times: int = 1) -> None:
        """Cut the connection at each of the next ``times`` commands: before it arrives, or after."""
        self.needle, self.lose_answer, self.lost, self.most_losses = needle, answer, 0, times

    def _cuts(self, data: bytes) -> bool:
        if not self.needle or self.needle not in data or self.lost >= self.most_losses:
            return False
        self.lost += 1
        return True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, socket: Path) -> None:
        server_reader, server_writer = await asyncio.open_unix_connection(str(socket))
        answers = asyncio.create_task(_pump(server_reader, writer))
        try:
            while data := await reader.read(1 << 20):
                if self._cuts(data):
                    if self.lose_answer:
                        answers.cancel()
                        server_writer.write(data)
                        await server_reader.read(1)
                    break
                server_writer.write(data)
                await server_writer.drain()
        except ConnectionError:
            pass  # either side has gone: that is what a proxy sees every day
        finally:
            answers.cancel()
            server_writer.close()
            writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 20):
        writer.write(data)
        await writer.drain()


@asynccontextmanager
async def proxying(socket: Path) -> AsyncIterator[FaultProxy]:
    """Run a proxy before the server that listens at ``socket``."""
    proxy = FaultProxy()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await proxy._serve(reader, writer, socket)

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        proxy.url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
        yield proxy
