"""A request goes out in one piece, and an answer that came early is still read."""

import ssl
from typing import Any

import httpcore

from worker.one_write import HELD_BYTES, OneWriteStream


class Wire(httpcore.AsyncNetworkStream):
    """A stream that keeps what is written, and has an answer ready."""

    def __init__(self, *, is_shut: bool = False) -> None:
        """Take nothing when it ``is_shut``."""
        self.written: list[bytes] = []
        self._is_shut = is_shut

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore's signature
        """Give the answer."""
        assert max_bytes
        assert timeout != 0
        return b"answer"

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - httpcore's signature
        """Keep it."""
        assert timeout != 0
        if self._is_shut:
            raise httpcore.WriteError
        self.written.append(buffer)

    async def aclose(self) -> None:
        """Be closed."""

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
    ) -> httpcore.AsyncNetworkStream:
        """Be the same."""
        assert (ssl_context, timeout) is not None
        self.written.append(str(server_hostname).encode())
        return self

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - httpcore's signature
        """Give what was asked for."""
        return info


async def test_head_and_body_are_one_write() -> None:
    """To the system two small ones are twice the work; nothing is written before an answer is awaited."""
    wire = Wire()
    stream = OneWriteStream(wire)
    for part in (b"head", b"body", b""):
        await stream.write(part)
    assert wire.written == []
    assert await stream.read(10) == b"answer"
    assert await stream.read(10) == b"answer"
    assert wire.written == [b"headbody"]


async def test_what_is_much_is_not_held_back() -> None:
    """Memory is for many callbacks at once."""
    wire = Wire()
    stream = OneWriteStream(wire)
    await stream.write(bytes(HELD_BYTES))
    await stream.write(b"x")
    assert [len(part) for part in wire.written] == [HELD_BYTES + 1]


async def test_an_answer_that_came_before_the_other_side_closed_is_read() -> None:
    """It says more than the write that failed."""
    stream = OneWriteStream(Wire(is_shut=True))
    await stream.write(b"head")
    assert await stream.read(10) == b"answer"


async def test_tls_is_spoken_by_the_stream_below_with_the_name_it_is_given() -> None:
    """And what is written over it goes out together as well."""
    wire = Wire()
    stream = await OneWriteStream(wire).start_tls(ssl.create_default_context(), "hooks.example")
    await stream.write(b"head")
    await stream.write(b"body")
    await stream.read(1)
    assert wire.written == [b"hooks.example", b"headbody"]
    assert (stream.get_extra_info("server_addr"), stream.get_extra_info("socket")) == ("server_addr", "socket")
