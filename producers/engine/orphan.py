"""What lies in a queue and nobody will ever touch: found by reading only, for ``corral doctor``."""

from collections.abc import AsyncIterator, Awaitable, Iterable
from typing import cast

from redis.asyncio import Redis

_LISTS = ("wait", "active", "paused")
_SORTED = ("delayed", "prioritized", "waiting-children", "completed", "failed")
_CHUNK = 500


class Orphans:
    """Looks through one queue."""

    def __init__(self, redis: Redis, *, prefix: str, queue: str) -> None:
        """Read through ``redis``, which the caller closes."""
        self._redis = redis
        self._home = f"{prefix}:{queue}"

    async def unlisted(self) -> list[str]:
        """Give the jobs that no list of the queue knows, by the engine's ids.

        Those that are missed are looked for again: a job may have moved while the lists were read.
        """
        missed = await self._missed([job_id async for job_id in self._jobs()])
        return sorted(await self._missed(missed)) if missed else []

    async def unlocked(self) -> list[str]:
        """Give the jobs that are active without a lock: their worker is gone."""
        active = await self._listed("active")
        locks = await self._each(f"{self._home}:{job_id}:lock" for job_id in active)
        return [job_id for job_id, locked in zip(active, locks, strict=True) if not locked]

    async def stuck_schedules(self) -> list[str]:
        """Give the schedules that no job will ever advance."""
        schedules = await self._redis.zrange(f"{self._home}:repeat", 0, -1, withscores=True)
        names = [(str(name), int(due_ms)) for name, due_ms in cast("list[tuple[str, float]]", schedules)]
        there = await self._each(f"{self._home}:repeat:{name}:{due_ms}" for name, due_ms in names)
        jobs = {f"repeat:{name}:{due_ms}": name for (name, due_ms), found in zip(names, there, strict=True) if found}
        ended = [job_id for job_id in jobs if await self._has_ended(job_id)]
        missing = [name for (name, _), found in zip(names, there, strict=True) if not found]
        return sorted([*missing, *(jobs[job_id] for job_id in ended)])

    async def _jobs(self) -> AsyncIterator[str]:
        chunk: list[str] = []
        async for key in self._redis.scan_iter(match=f"{self._home}:*", count=_CHUNK, _type="hash"):
            chunk.append(str(key))
            if len(chunk) == _CHUNK:
                for job_id in await self._of_jobs(chunk):
                    yield job_id
                chunk = []
        for job_id in await self._of_jobs(chunk):
            yield job_id

    async def _of_jobs(self, keys: list[str]) -> list[str]:
        # Of all the engine's hashes only a job's has these two.
        pipe = self._redis.pipeline(transaction=False)
        for key in keys:
            pipe.hmget(key, "name", "timestamp")
        found = await pipe.execute() if keys else []
        return [key.removeprefix(f"{self._home}:") for key, fields in zip(keys, found, strict=True) if all(fields)]

    async def _missed(self, job_ids: list[str]) -> list[str]:
        unsorted = [
            one for at in range(0, len(job_ids), _CHUNK) for one in await self._unsorted(job_ids[at : at + _CHUNK])
        ]
        listed = set[str]().union(*[await self._listed(name) for name in _LISTS]) if unsorted else set[str]()
        missed = [job_id for job_id in unsorted if job_id not in listed]
        there = await self._each(f"{self._home}:{job_id}" for job_id in missed)
        return [job_id for job_id, found in zip(missed, there, strict=True) if found]

    async def _unsorted(self, job_ids: list[str]) -> list[str]:
        pipe = self._redis.pipeline(transaction=False)
        for job_id in job_ids:
            for name in _SORTED:
                pipe.zscore(f"{self._home}:{name}", job_id)
        scores = await pipe.execute()
        width = len(_SORTED)
        return [
            job_id
            for at, job_id in enumerate(job_ids)
            if all(score is None for score in scores[at * width : (at + 1) * width])
        ]

    async def _listed(self, name: str) -> list[str]:
        return [
            str(job_id)
            for job_id in await cast("Awaitable[list[str]]", self._redis.lrange(f"{self._home}:{name}", 0, -1))
        ]

    async def _each(self, keys: Iterable[str]) -> list[int]:
        pipe = self._redis.pipeline(transaction=False)
        for key in keys:
            pipe.exists(key)
        return await pipe.execute() if len(pipe) else []

    async def _has_ended(self, job_id: str) -> bool:
        scores = [await self._redis.zscore(f"{self._home}:{name}", job_id) for name in ("completed", "failed")]
        return any(score is not None for score in scores)
