"""Connections to checked addresses on which a request goes out in one piece.

``httpcore`` writes a request's head and its body each by itself. To the system, and to the receiver, two small
writes are twice the work of one: what is written is held here until an answer is awaited.
"""

import ssl
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import httpcore
from ssrfguard.httpx import AsyncSafeBackend

HELD_BYTES = 64 * 1024


class OneWriteBackend(AsyncSafeBackend):
    """Connects as ``ssrfguard`` does: one look-up, every address checked, and to the one that was checked."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect; raises what ``ssrfguard`` and ``httpcore`` raise."""
        return OneWriteStream(await super().connect_tcp(host, port, timeout, local_address, socket_options))


class OneWriteStream(httpcore.AsyncNetworkStream):
    """A stream whose writes go out together, before it is read."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        """Write to and read from ``stream``."""
        self._stream = stream
        self._held = b""
        # Asked for with each answer, and the same for all.
        self._server = stream.get_extra_info("server_addr")

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore's signature
        """Write what is held, and read.

        Raises:
            ReadError, ReadTimeout: as httpcore says.
        """
        # Who has closed its side to us may have answered before it did.
        with suppress(httpcore.WriteError):
            await self._flush(timeout)
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - httpcore's signature
        """Hold it, unless it is much."""
        self._held += buffer
        if len(self._held) > HELD_BYTES:
            await self._flush(timeout)

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
    ) -> httpcore.AsyncNetworkStream:
        """Speak TLS from now on, as the stream does."""
        """Speak TLS from now on, as the stream does."""
        return OneWriteStream(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - httpcore's signature
        """Give what is known of the connection."""
        return self._server if info == "server_addr" else self._stream.get_extra_info(info)

    async def _flush(self, timeout: float | None) -> None:  # noqa: ASYNC109 - as above
        held, self._held = self._held, b""
        if held:
            await self._stream.write(held, timeout)
