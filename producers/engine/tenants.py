"""What the transaction that adds a job does for its tenant: a place in line, and an entry in the books."""

from dataclasses import dataclass
from typing import Any

from redis.asyncio.client import Pipeline

from producers.engine.fairness import FIRST, Fairness
from producers.engine.new_job import NewJob
from producers.tenants.ledger import TenantLedger


@dataclass(frozen=True)
class Tenants:
    """Whom jobs are added for. Nothing costs anything that is None."""

    fairness: Fairness | None = None
    ledger: TenantLedger | None = None

    @property
    def priority(self) -> int:
        """What a job is added with; 0 is the engine's plain line."""
        return FIRST if self.fairness else 0

    async def enter(self, job: NewJob, prefix: str, pipe: Pipeline) -> None:
        """Do it, behind the commands of ``pipe`` that add the job."""
        if self.fairness:
            await self.fairness.place(pipe, f"{prefix}:{job.spec.queue}", job.id, job.tenant)
        if self.ledger:
            await self.ledger.note(pipe, f"{job.spec.queue}:{job.id}", job.tenant)

    def learn(self, job: NewJob, answers: list[Any]) -> None:
        """Take what the server says of the tenant of the job that was entered last."""
        if self.ledger:
            self.ledger.learn(job.tenant, answers[-1])


ALL_ALIKE = Tenants()
