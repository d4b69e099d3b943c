"""A receiver of callbacks that costs next to nothing: HTTP/1.1 with keep-alive on raw sockets, a process of its own.

``python -m bench.subjects.callback_receiver PORT``. Every POST is a callback and is answered 204;
``GET /figures`` gives what came since the last one, as JSON, and any other ``GET`` says that it listens.
"""

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import cast

import uvloop

_END = b"\r\n\r\n"
_LENGTH, _ID = b"content-length: ", b"webhook-id: "
_FINISHED = b'"finished_at":"'


@dataclass
class Receipts:
    """What came: when, on how many connections, under how many ids, and how long after the job's end."""

    at: list[float] = field(default_factory=list)
    late_ms: list[float] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    connections: int = 0
    last: dict[str, str] = field(default_factory=dict)

    def take(self, head: bytes, body: bytes) -> None:
        """Note one callback."""
        now_s = time.time()
        self.at.append(now_s)
        self.ids.add(_between(head, _ID, b"\r"))
        if _FINISHED in body:
            ended = datetime.fromisoformat(_between(body, _FINISHED, b'"'))
            self.late_ms.append((now_s - ended.timestamp()) * 1000)
        self.last = {"head": head.decode(), "body": body.decode()}

    def figures(self) -> bytes:
        """Give all of it."""
        return json.dumps({**asdict(self), "ids": len(self.ids)}).encode()


class Protocol(asyncio.Protocol):
    """One connection."""

    def __init__(self, kept: list[Receipts]) -> None:
        """Note into the first of ``kept``."""
        self._kept = kept
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it."""
        self._transport = cast("asyncio.Transport", transport)
        self._kept[0].connections += 1

    def data_received(self, data: bytes) -> None:
        """Answer every request that is whole."""
        self._rest += data
        while (at := self._rest.find(_END)) >= 0:
            head, begun = self._rest[: at + 2], at + len(_END)
            if head.startswith(b"GET"):
                self._rest = self._rest[begun:]
                figures = b""
                if head.startswith(b"GET /figures "):
                    figures, self._kept[0] = self._kept[0].figures(), Receipts()
                self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(figures) + figures)
                continue
            end = begun + int(_between(head.lower(), _LENGTH, b"\r"))
            if len(self._rest) < end:
                return
            body, self._rest = self._rest[begun:end], self._rest[end:]
            self._kept[0].take(head, body)
            self._transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")


def _between(text: bytes, before: bytes, after: bytes) -> str:
    begin = text.index(before) + len(before)
    return text[begin : text.index(after, begin)].decode()


async def _serve(port: int) -> None:
    kept = [Receipts()]
    server = await asyncio.get_running_loop().create_server(lambda: Protocol(kept), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
