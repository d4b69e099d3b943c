"""What happens to jobs, live: one reader of the engine's event stream per queue and process.

A view and never a source of truth: the stream is trimmed, so a listener that comes too late gets
the job's present state instead of its history.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

log = structlog.get_logger()

_BLOCK_MS = 5_000
_LISTENER_BACKLOG = 256
_AFTER_TROUBLE_S = 1.0


@dataclass(frozen=True)
class Happening:
    """One entry of the stream: ``id`` orders it, ``name`` is the engine's word for it."""

    id: str
    name: str
    engine_id: str
    progress: Any = None


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

    @asynccontextmanager
    async def listen(self, queue: str, engine_ids: tuple[str, ...]) -> AsyncIterator[asyncio.Queue[Happening]]:
        """Receive what happens to a job from now on.

        A listener that lags 256 entries behind loses the newest ones; each entry is only a hint
        to look at the job again.
        """
        listener = _Listener(frozenset(engine_ids))
        listeners = self._listeners.setdefault(queue, set())
        listeners.add(listener)
        if queue not in self._readers:
            start = await self.newest(queue)
            if queue not in self._readers:
                self._readers[queue] = asyncio.create_task(self._read(queue, start))
        try:
            yield listener.inbox
        finally:
            listeners.discard(listener)
            if not listeners and (reader := self._readers.pop(queue, None)):
                reader.cancel()

    async def newest(self, queue: str) -> str:
        """Give the id of the stream's newest entry; ``0-0`` for an empty stream."""
        entries = await self._redis.xrevrange(self._stream(queue), count=1)
        return str(entries[0][0]) if entries else "0-0"

    async def since(self, queue: str, engine_ids: tuple[str, ...], after: str) -> list[Happening] | None:
        """Give what happened to a job after an entry; None when the stream no longer reaches back."""
        stream = self._stream(queue)
        oldest = await self._redis.xrange(stream, count=1)
        if oldest and _order(after) < _order(oldest[0][0]):
            return None
        entries = await self._redis.xrange(stream, min=f"({after}")
        return [found for entry in entries if (found := _happening(*entry)).engine_id in engine_ids]

    async def aclose(self) -> None:
        """Stop reading."""
        readers = list(self._readers.values())
        self._readers.clear()
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)

    async def _read(self, queue: str, after: str) -> None:
        stream = self._stream(queue)
        while True:
            try:
                answer = await self._redis.xread({stream: after}, block=_BLOCK_MS, count=1000)
            except (RedisError, OSError) as error:
                log.warning("event_feed.interrupted", queue=queue, error=type(error).__name__)
                await asyncio.sleep(_AFTER_TROUBLE_S)
                continue
            for _, entries in answer or []:
                for entry in entries:
                    after = entry[0]
                    self._tell(queue, _happening(*entry))

    def _tell(self, queue: str, happening: Happening) -> None:
        for listener in self._listeners.get(queue, ()):
            if happening.engine_id in listener.engine_ids and not listener.inbox.full():
                listener.inbox.put_nowait(happening)

    def _stream(self, queue: str) -> str:
        return f"{self._prefix}:{queue}:events"


def _happening(entry_id: str, fields: dict[str, str]) -> Happening:
    progress = json.loads(fields["data"]) if fields.get("event") == "progress" else None
    return Happening(entry_id, fields.get("event", ""), fields.get("jobId", ""), progress)


def _order(entry_id: str) -> tuple[int, int]:
    milliseconds, _, sequence = entry_id.partition("-")
    return int(milliseconds), int(sequence or 0)
