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

# A page of those that lie somewhere, from the end where jobs are added: what workers take meanwhile, at the other one,
# moves none that is yet to be seen. KEYS: where. ARGV: prefix of jobs, field, now, first and last of the page.
_CANCEL_WAITING = """
local range = redis.call('TYPE', KEYS[1])['ok'] == 'zset' and 'ZREVRANGE' or 'LRANGE'
local ids, cancelled = redis.call(range, KEYS[1], ARGV[4], ARGV[5]), 0
for _, id in ipairs(ids) do
  local job = ARGV[1] .. id
  if redis.call('EXISTS', job) == 1 and redis.call('HSETNX', job, ARGV[2], ARGV[3]) == 1 then
    cancelled = cancelled + 1
  end
end
return {ids, cancelled}
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
        now_ms, seen, cancelled = str(round(time.time() * 1000)), list[str](), 0
        while True:
            page = (str(len(seen)), str(len(seen) + _BATCH - 1))
            asked = self._redis.eval(
                _CANCEL_WAITING, 1, self._key(place), f"{self._home}:", CANCEL_FIELD, now_ms, *page
            )
            async with answering():
                ids, count = await cast("Awaitable[tuple[list[str], int]]", asked)
            if not ids:
                break
            seen += ids
            cancelled += count
        if place == "delayed":
            await self._make_due(seen)
        return cancelled

    async def _make_due(self, ids: list[str]) -> None:
        # So that their end comes now.
        for engine_id in ids:
            async with answering():
                await cancel.request(self._redis, self._home, engine_id)

    def _key(self, part: str) -> str:
        return f"{self._home}:{part}"
