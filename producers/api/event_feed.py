"""What happens to jobs, live: one reader of the engine's event stream per queue and process.

A view and never a source of truth: the stream is trimmed, so a listener that comes too late gets
the job's present state instead of its history.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from producers.engine.job_record import progress_of
from producers.engine.jobs import answering
from schemas.job_status import Progress

log = structlog.get_logger()

# As the server gives them: id and fields.
_Entries = list[tuple[str, dict[str, str]]]

_BLOCK_MS = 5_000
_LISTENER_BACKLOG = 256
_AFTER_TROUBLE_S = 1.0
_CANCEL_AGAIN_S = 0.05


@dataclass(frozen=True)
class Happening:
    """One entry of the stream: ``id`` orders it; with ``progress`` or as a hint to look at the job again."""

    id: str
    engine_id: str
    progress: Progress | None = None


# Said to a listener whose process is about to end: it may listen again elsewhere.
END = Happening("", "")


@dataclass(eq=False)
class _Listener:
    engine_ids: frozenset[str]
    inbox: asyncio.Queue[Happening] = field(default_factory=lambda: asyncio.Queue(_LISTENER_BACKLOG))


class EventFeed:
    """Tells listeners what happens to their jobs; reads only while somebody listens."""

    def __init__(self, redis: Redis, *, prefix: str) -> None:
        """Read through ``redis``, whose socket must outlast a blocking read of 5 s."""
        self._redis = redis
        self._prefix = prefix
        self._listeners: dict[str, set[_Listener]] = {}
        self._readers: dict[str, asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def listen(self, queue: str, engine_ids: tuple[str, ...]) -> AsyncIterator[asyncio.Queue[Happening]]:
        """Receive what happens to a job from now on.

        A listener that lags 256 entries behind loses the newest ones; each entry is only a hint
        to look at the job again.

        Raises:
            EngineUnavailable: the server does not answer.
        """
        listener = _Listener(frozenset(engine_ids))
        self._listeners.setdefault(queue, set()).add(listener)
        try:
            if queue not in self._readers:
                start = await self.newest(queue)
                # Another listener may have begun to read while we asked.
                if queue not in self._readers:
                    self._readers[queue] = asyncio.create_task(self._read(queue, start), name=f"events of {queue}")
            yield listener.inbox
        finally:
            self._leave(queue, listener)

    async def newest(self, queue: str) -> str:
        """Give the id of the stream's newest entry; ``0-0`` for an empty stream."""
        async with answering():
            entries = cast("_Entries", await self._redis.xrevrange(self._stream(queue), count=1))
        return entries[0][0] if entries else "0-0"

    async def since(self, queue: str, engine_ids: tuple[str, ...], after: str) -> list[Happening] | None:
        """Give what happened to a job after an entry; None when the stream no longer reaches back."""
        stream = self._stream(queue)
        async with answering():
            oldest = cast("_Entries", await self._redis.xrange(stream, count=1))
            if not oldest or order(after) < order(oldest[0][0]):
                return None
            entries = cast("_Entries", await self._redis.xrange(stream, min=f"({after}"))
        return [found for entry in entries if (found := _happening(*entry)).engine_id in engine_ids]

    def end(self) -> None:
        """Tell every listener that nothing more will come."""
        for listener in [one for listeners in self._listeners.values() for one in listeners]:
            if listener.inbox.full():
                listener.inbox.get_nowait()
            listener.inbox.put_nowait(END)

    async def aclose(self) -> None:
        """Stop reading."""
        for queue in list(self._readers):
            self._stop(queue)
        await asyncio.gather(*self._ending)

    def _leave(self, queue: str, listener: _Listener) -> None:
        listeners = self._listeners[queue]
        listeners.discard(listener)
        if not listeners:
            del self._listeners[queue]
            self._stop(queue)

    def _stop(self, queue: str) -> None:
        if reader := self._readers.pop(queue, None):
            ending = asyncio.create_task(_end(reader))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    async def _read(self, queue: str, after: str) -> None:
        stream = self._stream(queue)
        while True:
            try:
                answer = await self._redis.xread({stream: after}, block=_BLOCK_MS, count=1000)
            except (RedisError, OSError) as error:
                log.warning("event_feed.interrupted", queue=queue, error=type(error).__name__)
                await asyncio.sleep(_AFTER_TROUBLE_S)
                continue
            for entry_id, fields in _entries(answer):
                after = entry_id
                self._tell(queue, _happening(entry_id, fields))

    def _tell(self, queue: str, happening: Happening) -> None:
        for listener in self._listeners.get(queue, ()):
            if happening.engine_id in listener.engine_ids and not listener.inbox.full():
                listener.inbox.put_nowait(happening)

    def _stream(self, queue: str) -> str:
        return f"{self._prefix}:{queue}:events"


async def _end(task: asyncio.Task[None]) -> None:
    # Python 3.11's `wait_for`, with which redis-py sends, may swallow a cancellation.
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=_CANCEL_AGAIN_S)


def _entries(answer: object) -> _Entries:
    # One stream was asked for, so there is one pair of its name and its entries; after silence none.
    match answer:
        case [[_, entries]]:
            return cast("_Entries", entries)
        case _:
            return []


def order(entry_id: str) -> tuple[int, int]:
    """Give what entries' ids are compared by."""
    milliseconds, _, sequence = entry_id.partition("-")
    return int(milliseconds), int(sequence or 0)


def _happening(entry_id: str, fields: dict[str, str]) -> Happening:
    try:
        progress = progress_of(json.loads(fields["data"])) if fields.get("event") == "progress" else None
    except (KeyError, ValueError, RecursionError):
        # Anybody's handler may have written it; one bad entry must not end the reading.
        progress = None
    return Happening(entry_id, fields.get("jobId", ""), progress)
