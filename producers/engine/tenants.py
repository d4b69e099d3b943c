"""What the script that adds a job does for its tenant: a place in line, and an entry in the books."""

from dataclasses import dataclass

from producers.engine.fairness import FIRST, Fairness
from producers.engine.joined_script import Part
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

    def parts(self, job: NewJob, prefix: str) -> list[Part]:
        """Give what comes behind the parts that add the job."""
        parts = []
        if self.fairness:
            parts.append(self.fairness.place(f"{prefix}:{job.spec.queue}", job.id, job.tenant))
        if self.ledger:
            parts.append(self.ledger.note(f"{job.spec.queue}:{job.id}", job.tenant))
        return parts

    def learn(self, job: NewJob, given: list[int]) -> None:
        """Take what the last of a job's parts says of its tenant."""
        if self.ledger:
            self.ledger.learn(job.tenant, given)


ALL_ALIKE = Tenants()
