"""A queue as a whole, as the operator steers it: looked at, paused, limited, drained.

Jobs by themselves are in ``jobs.py``.
"""

import time
from collections.abc import Awaitable
from typing import cast

from bullmq import Queue
from redis.asyncio import Redis

from producers.engine import cancel
from producers.engine.cancel import CANCEL_FIELD
from producers.engine.jobs import answering
from schemas.queue_status import QueueLimits, QueueStatus, RateLimit

_STATES = ("waiting", "prioritized", "delayed", "active", "waiting-children", "completed", "failed")
_MINUTE_MS = 60_000
_BATCH = 500

# Of the ids given, those that still lie where they were seen: one that a worker has taken meanwhile
# runs, and a drain is about those that have not begun. A delayed one becomes due, so that its end
# comes now. KEYS: where they lie. ARGV: prefix of jobs, field, now, ids.
_CANCEL_WAITING = """
local kind = redis.call('TYPE', KEYS[1])['ok']
local cancelled = 0
for i = 4, #ARGV do
  local here
  if kind == 'zset' then here = redis.call('ZSCORE', KEYS[1], ARGV[i])
  else here = redis.call('LPOS', KEYS[1], ARGV[i]) end
  local job = ARGV[1] .. ARGV[i]
  if here and redis.call('EXISTS', job) == 1 and redis.call('HSETNX', job, ARGV[2], ARGV[3]) == 1 then
    cancelled = cancelled + 1
  end
end
return cancelled
"""


class EngineQueue:
    """One queue. Every method raises EngineUnavailable when the server does not answer."""

    def __init__(self, redis: Redis, *, prefix: str, queue: str) -> None:
        """Speak through ``redis``, a fail-fast client that the caller closes."""
        self.name = queue
        self._redis = redis
        self._home = f"{prefix}:{queue}"
        self._queue = Queue(queue, {"connection": redis, "prefix": prefix})

    async def status(self) -> QueueStatus:
        """Look at the queue."""
        since_ms = time.time() * 1000 - _MINUTE_MS
        pipe = self._redis.pipeline(transaction=False)
        pipe.hmget(self._key("meta"), "paused", "concurrency", "max", "duration")
        pipe.zcount(self._key("completed"), since_ms, "+inf")
        pipe.zcount(self._key("failed"), since_ms, "+inf")
        async with answering():
            counts = await self._queue.getJobCounts(*_STATES)
            (paused, concurrency, most, duration_ms), completed, failed = await pipe.execute()
        rate = RateLimit(jobs=int(most), per_s=int(duration_ms) / 1000) if most and duration_ms else None
        return QueueStatus(
            queue=self.name,
            paused=bool(paused),
            counts=counts,
            completed_last_minute=completed,
            failed_last_minute=failed,
            limits=QueueLimits(concurrency=int(concurrency) if concurrency else None, rate=rate),
        )

    async def pause(self) -> None:
        """Have no worker take a job of it; what runs goes on, and jobs may be added. Safe to repeat."""
        async with answering():
            await self._queue.pause()

    async def resume(self) -> None:
        """Have workers take its jobs again. Safe to repeat."""
        async with answering():
            await self._queue.resume()

    async def limit(self, limits: QueueLimits) -> None:
        """Set what holds over all workers, of any language; what is None is lifted."""
        wanted = {
            "concurrency": limits.concurrency,
            "max": limits.rate.jobs if limits.rate else None,
            "duration": round(limits.rate.per_s * 1000) if limits.rate else None,
        }
        pipe = self._redis.pipeline(transaction=True)
        for field, value in wanted.items():
            if value is None:
                pipe.hdel(self._key("meta"), field)
            else:
                pipe.hset(self._key("meta"), field, str(value))
        if limits.rate != (await self.status()).limits.rate:
            # The engine's count goes on to the end of the time that it was begun under, an hour or a week.
            pipe.delete(self._key("limiter"))
        # An idle worker would notice a wider limit only at its next look, seconds later.
        pipe.zadd(self._key("marker"), {"0": 0})
        async with answering():
            await pipe.execute()

    async def drain(self, *, delayed: bool) -> int:
        """Ask for the end of every job that has not begun, and tell how many those are. Safe to repeat.

        They are not removed, as the engine's own drain does: a worker ends each as cancelled, so its
        owner finds it, and its callback goes out like any other.
        """
        places = ["wait", "paused", "prioritized", *(["delayed"] if delayed else [])]
        return sum([await self._cancel(place) for place in places])

    async def _cancel(self, place: str) -> int:
        cancelled = 0
        ids = await self._ids(place)
        for begin in range(0, len(ids), _BATCH):
            batch = ids[begin : begin + _BATCH]
            now_ms = str(round(time.time() * 1000))
            args = (self._key(place), f"{self._home}:", CANCEL_FIELD, now_ms, *batch)
            async with answering():
                cancelled += await cast("Awaitable[int]", self._redis.eval(_CANCEL_WAITING, 1, *args))
                if place == "delayed":
                    await self._make_due(batch)
        return cancelled

    async def _make_due(self, ids: list[str]) -> None:
        for engine_id in ids:
            await cancel.request(self._redis, self._home, engine_id)

    async def _ids(self, place: str) -> list[str]:
        async with answering():
            if await self._redis.type(self._key(place)) == "zset":
                return cast("list[str]", await self._redis.zrange(self._key(place), 0, -1))
            return await cast("Awaitable[list[str]]", self._redis.lrange(self._key(place), 0, -1))

    def _key(self, part: str) -> str:
        return f"{self._home}:{part}"
