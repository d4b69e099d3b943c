"""``schedules.fire``: adds the job that a schedule asks for."""

from datetime import UTC, datetime

from schemas.jobs.schedules import FiredSchedule, FireSchedule
from worker.ports import JobContext, Orders

PORTS = (Orders,)


async def handle(payload: FireSchedule, job: JobContext) -> FiredSchedule:
    """Add one job. Safe to repeat: one firing means one job, whoever runs it and how often.

    Raises:
        UnknownKind, PayloadInvalid: the kind has changed since the schedule was made; never worth another attempt.
        TenantLimitReached: the tenant may not add a job now; worth one.
        FiringSkipped: it still may not, and the schedule's next firing has come, which stands for both.
        EngineUnavailable: the server did not confirm; worth one.
    """
    orders = job.use(Orders)
    # First, so that no failure of this firing is the end of the schedule.
    due_at = await orders.due(job.id)
    job_id = await orders.place(job, payload)
    late_s = max(0.0, (datetime.now(UTC) - due_at).total_seconds())
    return FiredSchedule(job_id=job_id, due_at=due_at, late_s=late_s)
