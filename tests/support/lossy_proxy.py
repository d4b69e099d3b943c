"""A TCP proxy on loopback that loses one command: on its way in, or its answer on the way out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast


@dataclass
class LossyProxy:
    """Stands before a server's unix socket; see ``lose``."""

    socket: Path
    url: str = ""
    lost: int = 0
    _needle: bytes = b""
    _answer: bool = False
    _times: int = 0

    def lose(self, needle: bytes, *, answer: bool, times: int = 1) -> None:
        """Cut the connection at each of the next ``times`` commands with ``needle`` in them.

        Before the command arrives, or with ``answer`` after it was carried out.
        """
        self._needle, self._answer, self._times, self.lost = needle, answer, times, 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until one side ends it or a command is lost."""
        server_reader, server_writer = await asyncio.open_unix_connection(str(self.socket))
        answers = asyncio.create_task(_carry(server_reader, writer))
        with suppress(ConnectionError):
            while data := await reader.read(1 << 20):
                if self._loses(data):
                    answers.cancel()
                    await asyncio.gather(answers, return_exceptions=True)
                    if self._answer:
                        server_writer.write(data)
                        await server_reader.read(1)
                    break
                server_writer.write(data)
                await server_writer.drain()
        answers.cancel()
        await asyncio.gather(answers, return_exceptions=True)
        for end in (server_writer, writer):
            end.close()
            with suppress(ConnectionError):
                await end.wait_closed()

    def _loses(self, data: bytes) -> bool:
        if self.lost == self._times or self._needle not in data:
            return False
        self.lost += 1
        return True


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 20):
        writer.write(data)
        await writer.drain()


@asynccontextmanager
async def lossy_proxy(socket: Path) -> AsyncIterator[LossyProxy]:
    """Run a proxy before the server that listens at ``socket``."""
    proxy = LossyProxy(socket)
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(cast("asyncio.Task[None]", asyncio.current_task()))
        await proxy.serve(reader, writer)

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        proxy.url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
        yield proxy
    await asyncio.gather(*connections)
