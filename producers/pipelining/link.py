"""One socket that many callers share: their commands go out in order, and their replies come back in that order.

`client.py` makes it a client. What leans on private parts of redis-py is here: the socket and
the parser are taken over from a connection of redis-py's after its handshake (tests hold that together).
"""

import asyncio
from collections import deque
from typing import Any, cast

import hiredis
from redis import exceptions
from redis._parsers.hiredis import NOT_ENOUGH_DATA
from redis.asyncio.connection import AbstractConnection


class ConnectionLostError(exceptions.ConnectionError):
    """The link broke after the command was written: it may have run or not, and was not tried again."""


class CommandTimeoutError(ConnectionLostError, exceptions.TimeoutError):
    """No reply came within ``socket_timeout``: the command may have run, may still run, or may never."""


class NotWrittenError(Exception):
    """The link broke before the command was written: it can go out on the next one."""


class Call:
    """Commands that go out as one block, and the replies that they are owed."""

    __slots__ = ("count", "deadline", "done", "packed", "replies", "size")

    def __init__(self, packed: bytes, count: int, done: asyncio.Future[list[Any]]) -> None:
        """Hold ``count`` packed commands; ``done`` gets as many replies."""
        self.packed, self.count, self.done = packed, count, done
        self.size = len(packed)
        self.deadline = 0.0
        self.replies: list[Any] = []


class Link(asyncio.Protocol):
    """One socket after redis-py's handshake: calls go out in order, and replies come back in that order."""

    def __init__(self, connection: AbstractConnection, *, max_in_flight: int, max_bytes: int) -> None:
        """Take over the socket of a connection that has shaken hands.

        Raises:
            exceptions.ConnectionError: the server has closed it since.
        """
        self.broken = False
        self._loop = asyncio.get_running_loop()
        self._connection = connection  # keeps the stream's writer alive, which would close the transport
        self._limit_s = connection.socket_timeout
        self._max_in_flight, self._max_bytes = max_in_flight, max_bytes
        self._outbox: list[Call] = []
        self._in_flight: deque[Call] = deque()
        self._size = 0
        self._paused = False
        self._is_due = False
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._replies, self._transport = _take_over(connection)
        self._transport.set_protocol(self)

    async def call(self, packed: bytes, count: int) -> list[Any]:
        """Send commands as one block and give their replies; errors among them are given, not raised."""
        if self._is_full() or self._waiting:
            await self._wait_for_room()
        if self.broken:
            raise NotWrittenError
        call = Call(packed, count, self._loop.create_future())
        self._outbox.append(call)
        self._size += call.size
        # What has gathered goes out at the end of this turn of the loop, and before as soon as it is as much
        # as is under way: so an idle server begins with the first call, and a busy one is written to seldom.
        if len(self._outbox) >= len(self._in_flight):
            self._write()
        elif not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._end_turn)
        return await call.done

    async def close(self) -> None:
        """Take no more calls, wait for the replies that are owed, and close the socket."""
        while owed := [call.done for call in (*self._in_flight, *self._outbox) if not call.done.done()]:
            await asyncio.wait(owed)
        self._break(exceptions.ConnectionError("the client was closed"))
        await self._ended

    def data_received(self, data: bytes) -> None:
        """Give every complete reply in what has come to the call that is first in line."""
        if self.broken:
            return
        self._replies.feed(data)
        try:
            while (reply := self._next_reply()) is not NOT_ENOUGH_DATA:
                if isinstance(reply, hiredis.PushNotification):
                    continue  # nobody asked for it, so nobody is owed it
                call = self._in_flight[0]
                call.replies.append(reply)
                if len(call.replies) == call.count:
                    self._in_flight.popleft()
                    self._size -= call.size
                    if not call.done.done():
                        call.done.set_result(call.replies)
        except (exceptions.InvalidResponse, IndexError) as error:
            self._break(exceptions.InvalidResponse(f"the server sent what nobody is owed: {error}"))
        self._admit()

    def pause_writing(self) -> None:
        """Let no more calls in: the socket takes no more bytes."""
        self._paused = True

    def resume_writing(self) -> None:
        """Let calls in again."""
        self._paused = False
        self._admit()

    def connection_lost(self, exc: Exception | None) -> None:
        """End every call that is under way."""
        self._break(exc or exceptions.ConnectionError("the server closed the connection"))
        self._ended.set_result(None)

    def _next_reply(self) -> Any:  # noqa: ANN401
        try:
            return self._replies.gets()
        except UnicodeDecodeError as error:
            return error  # hiredis has read past the reply, so those behind it stay in their places

    def _end_turn(self) -> None:
        self._is_due = False
        if not self.broken:
            self._write()

    def _write(self) -> None:
        # Who was cancelled before this moment wants nothing written.
        calls = [call for call in self._outbox if not call.done.done()]
        self._size -= sum(call.size for call in self._outbox if call.done.done())
        self._outbox.clear()
        if not calls:
            self._admit()
            return
        self._in_flight.extend(calls)
        self._transport.write(calls[0].packed if len(calls) == 1 else b"".join([call.packed for call in calls]))
        deadline = self._loop.time() + self._limit_s if self._limit_s else 0.0
        for call in calls:
            call.packed = b""
            call.deadline = deadline
        if self._limit_s and self._watch is None:
            self._watch = self._loop.call_at(deadline, self._check_oldest)

    def _check_oldest(self) -> None:
        # All have the same limit, so the oldest call is the first to pass it: one timer for all of them.
        self._watch = None
        if not self._in_flight:
            return
        if (deadline := self._in_flight[0].deadline) > self._loop.time():
            self._watch = self._loop.call_at(deadline, self._check_oldest)
        else:
            self._break(exceptions.TimeoutError(f"no reply within {self._limit_s} s"))

    def _break(self, reason: Exception) -> None:
        if self.broken:
            return
        self.broken = True
        if self._watch is not None:
            self._watch.cancel()
        now = self._loop.time()
        for call in self._in_flight:
            late = isinstance(reason, exceptions.TimeoutError) and call.deadline <= now
            _fail(call, (CommandTimeoutError if late else ConnectionLostError)(may_have_run(reason)))
        for call in self._outbox:
            _fail(call, NotWrittenError())
        self._transport.abort()
        self._connection._close()  # type: ignore[no-untyped-call]  # noqa: SLF001 - redis-py's own way to drop a socket without a word
        self._admit()

    def _is_full(self) -> bool:
        in_flight = len(self._in_flight) + len(self._outbox)
        return (self._paused or in_flight >= self._max_in_flight or self._size >= self._max_bytes) and not self.broken

    async def _wait_for_room(self) -> None:
        while True:
            self._waiting.append(turn := self._loop.create_future())
            try:
                await turn
            except asyncio.CancelledError:
                self._admit()  # the place that this caller was given is the next one's
                raise
            if not self._is_full():
                return

    def _admit(self) -> None:
        free = len(self._waiting) if self.broken else self._max_in_flight - len(self._in_flight) - len(self._outbox)
        while self._waiting and free > 0 and not self._is_full():
            if not (turn := self._waiting.popleft()).done():
                turn.set_result(None)
                free -= 1


def _take_over(connection: AbstractConnection) -> tuple[hiredis.Reader, asyncio.Transport]:
    """Give the parser and the socket of a connection that has shaken hands and is owed nothing."""
    stream, writer = cast("Any", connection._reader), connection._writer  # noqa: SLF001
    if stream is None or writer is None or stream.at_eof() or writer.transport.is_closing():
        raise exceptions.ConnectionError("the server closed the connection after the handshake")
    replies = cast("Any", connection._parser)._reader  # noqa: SLF001
    replies.feed(bytes(stream._buffer))  # noqa: SLF001 - what the server has pushed since
    return replies, cast("asyncio.Transport", writer.transport)


def _fail(call: Call, error: Exception) -> None:
    if not call.done.done():
        call.done.set_exception(error)


def may_have_run(reason: BaseException) -> str:
    """Say what a caller must know whose connection broke for this reason."""
    return f"the connection broke after the command was written, so it may or may not have run: {reason}"
