"""How far the queues are behind: what waits longest, and how late what was delayed is."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from redis.asyncio import Redis

from producers.engine.jobs import answering

_SCORE_UNIT = 0x1000  # a delayed job's score is its time in milliseconds, times this
_MS = 1000


@dataclass(frozen=True)
class Lag:
    """Of one queue, in seconds; 0 where nothing waits."""

    next_waited_s: float
    overdue_s: float


async def lags(redis: Redis, prefix: str, queues: Iterable[str]) -> dict[str, Lag]:
    """Give each queue's lag, in two round trips for all.

    Raises:
        EngineUnavailable: the server does not answer.
    """
    names, now_s = list(queues), time.time()
    async with answering():
        pipe = redis.pipeline(transaction=False)
        for name in names:
            pipe.lindex(f"{prefix}:{name}:wait", -1)
            pipe.zrange(f"{prefix}:{name}:prioritized", 0, 0)
            pipe.zrange(f"{prefix}:{name}:delayed", 0, 0, withscores=True)
        found = await pipe.execute()
        heads = [[found[at], *found[at + 1]] for at in range(0, len(found), 3)]
        for name, ids in zip(names, heads, strict=True):
            for job_id in filter(None, ids):
                pipe.hmget(f"{prefix}:{name}:{job_id}", "timestamp", "delay")
        jobs = iter(await pipe.execute())
    added = [[next(jobs) for _ in filter(None, ids)] for ids in heads]
    return {
        name: Lag(max((_waited_s(one, now_s) for one in of_queue), default=0.0), _overdue_s(delayed, now_s))
        for name, of_queue, delayed in zip(names, added, found[2::3], strict=True)
    }


def _waited_s(job: list[str | None], now_s: float) -> float:
    timestamp, delay = job
    # The job may have gone between the two looks, and anybody may have written it.
    try:
        return max(0.0, now_s - (int(timestamp or now_s * _MS) + int(delay or 0)) / _MS)
    except ValueError:
        return 0.0


def _overdue_s(delayed: list[tuple[str, float]], now_s: float) -> float:
    return max([0.0, *(now_s - score / _SCORE_UNIT / _MS for _, score in delayed)])
