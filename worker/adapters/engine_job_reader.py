"""Fills the port ``JobReader`` with the reading side of the engine's border."""

from producers.engine import Engine
from schemas.job_status import JobRecord
from worker.ports import JobReader


class EngineJobReader(JobReader):
    """Reads jobs as the API does."""

    def __init__(self, engine: Engine) -> None:
        """Read through ``engine``, whose client the caller closes."""
        self._engine = engine

    async def read(self, job_id: str) -> JobRecord | None:
        """Give a job as it is now; None when the engine no longer has it."""
        return await self._engine.read(job_id)
