"""Fills the port ``JobReader`` with the reading side of the engine's border."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

from producers import connection
from producers.engine.jobs import Engine
from schemas.job_status import JobRecord
from schemas.settings import EngineSettings
from worker.ports import JobReader


class EngineJobReader(JobReader):
    """Reads jobs as the API does."""

    def __init__(self, engine: Engine) -> None:
        """Read through ``engine``, whose client the caller closes."""
        self._engine = engine

    @classmethod
    @asynccontextmanager
    async def connected(cls, settings: EngineSettings) -> AsyncIterator[Self]:
        """Read through a client of its own, closed at the end of the block."""
        async with connection.patient(settings.redis_url) as redis:
            yield cls(Engine(redis, prefix=settings.queue_prefix, keep_finished_s=settings.keep_finished_s))

    async def read(self, job_id: str) -> JobRecord | None:
        """Give a job as it is now; None when the engine no longer has it."""
        return await self._engine.read(job_id)
