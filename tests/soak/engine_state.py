"""Where the engine has each job when all is over, read from its own sets."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from tests.support.key_leak import LISTS, SORTED

_FINAL = ("completed", "failed")
_OPEN = (*LISTS, *(name for name in SORTED if name not in _FINAL))


@dataclass(frozen=True)
class EngineState:
    """How many final sets hold each job, by its id, and the jobs that have not ended, by where they are."""

    ends: Counter[str]
    open: dict[str, list[str]]

    @property
    def open_count(self) -> int:
        """How many jobs have not ended."""
        return sum(map(len, self.open.values()))


async def engine_state(redis: Redis, queues: Sequence[str]) -> EngineState:
    """Read every set of every queue."""
    pipe = redis.pipeline(transaction=False)
    for queue in queues:
        for name in _FINAL:
            pipe.zrange(f"bull:{queue}:{name}", 0, -1)
    ends: Counter[str] = Counter()
    for job_ids in await pipe.execute():
        ends.update(job_ids)
    return EngineState(ends, await _open(redis, queues))


async def open_count(redis: Redis, queues: Sequence[str]) -> int:
    """Tell how many jobs have not ended."""
    return sum(map(len, (await _open(redis, queues)).values()))


async def _open(redis: Redis, queues: Sequence[str]) -> dict[str, list[str]]:
    pipe = redis.pipeline(transaction=False)
    places = [f"{queue}:{name}" for queue in queues for name in _OPEN]
    for place in places:
        _read(pipe, place)
    found = await pipe.execute()
    return {place: job_ids for place, job_ids in zip(places, found, strict=True) if job_ids}


def _read(pipe: Any, place: str) -> None:  # noqa: ANN401 - redis-py's pipeline
    if place.rpartition(":")[2] in LISTS:
        pipe.lrange(f"bull:{place}", 0, -1)
    else:
        pipe.zrange(f"bull:{place}", 0, -1)
