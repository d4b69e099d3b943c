"""Fills the port ``JobReader`` with the reading side of the engine's border."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

from redis.asyncio import Redis

from producers import connection
from producers.engine.ended_job import ended_job
from producers.engine.jobs import Engine
from schemas.job_status import JobRecord
from schemas.settings import EngineSettings
from worker.ports import JobReader


class EngineJobReader(JobReader):
    """Reads jobs as the API does."""

    def __init__(self, engine: Engine, redis: Redis, *, prefix: str) -> None:
        """Read through ``engine`` and its client, which the caller closes."""
        self._engine = engine
        self._redis = redis
        self._prefix = prefix

    @classmethod
    @asynccontextmanager
    async def connected(cls, settings: EngineSettings) -> AsyncIterator[Self]:
        """Read through a client of its own, closed at the end of the block."""
        async with connection.patient(settings.redis_url) as redis:
            engine = Engine(redis, prefix=settings.queue_prefix, keep_finished_s=settings.keep_finished_s)
            yield cls(engine, redis, prefix=settings.queue_prefix)

    async def read(self, job_id: str) -> JobRecord | None:
        """Give a job as it is now; None when the engine no longer has it."""
        # Most who ask are told of a job that has ended, which takes half as much.
        return await ended_job(self._redis, self._prefix, job_id) or await self._engine.read(job_id)
