"""A caller of an app in this process who reads the answer while it comes, and may hang up in the middle.

httpx's transport for apps gives an answer only once it is whole, which a stream of events never is.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI


class AsgiStream:
    """One request under way."""

    def __init__(self, app: FastAPI, path: str, headers: dict[str, str]) -> None:
        """Prepare a GET of ``path``."""
        self.status = 0
        self.headers: dict[str, str] = {}
        self._begun = asyncio.Event()
        self._hung_up = asyncio.Event()
        self._body: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._rest = ""
        self._asked = False
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "scheme": "http",
            "server": ("localhost", 80),
            "client": ("127.0.0.1", 1),
            "headers": [(k.lower().encode(), v.encode()) for k, v in {"Host": "localhost", **headers}.items()],
        }
        self.task = asyncio.create_task(app(scope, self._receive, self._send))

    async def begun(self) -> "AsgiStream":
        """Return when the answer has begun."""
        await asyncio.wait_for(self._begun.wait(), 10)
        return self

    async def block(self, *, within_s: float = 10.0) -> str | None:
        """Give the next event or comment, as its lines; None when the stream has ended."""
        while "\n\n" not in self._rest:
            chunk = await asyncio.wait_for(self._body.get(), within_s)
            if chunk is None:
                return None
            self._rest += chunk.decode()
        block, _, self._rest = self._rest.partition("\n\n")
        return block

    async def event(self, *, within_s: float = 10.0) -> dict[str, str] | None:
        """Give the next event by its fields, past all comments; None when the stream has ended."""
        while (block := await self.block(within_s=within_s)) is not None:
            fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
            if fields:
                return fields
        return None

    async def hang_up(self) -> None:
        """Leave, as a browser does whose page is closed, and wait until the app has noticed."""
        self._hung_up.set()
        await asyncio.wait_for(asyncio.gather(self.task, return_exceptions=True), 10)

    async def _receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._hung_up.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:  # noqa: ANN401 - as ASGI has it
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            self._begun.set()
        else:
            if message.get("body"):
                self._body.put_nowait(message["body"])
            if not message.get("more_body"):
                self._body.put_nowait(None)


@asynccontextmanager
async def streaming(app: FastAPI, path: str, **headers: str) -> AsyncIterator[AsgiStream]:
    """Begin a GET, give it once its answer has begun, and hang up at the end."""
    stream = AsgiStream(app, path, {name.replace("_", "-"): value for name, value in headers.items()})
    try:
        yield await stream.begun()
    finally:
        await stream.hang_up()
