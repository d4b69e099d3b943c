"""Jobs of the queue ``schedules``: each is one firing of a schedule, and adds the job that is due.

The engine's scheduler makes plain jobs, so a firing is one of its own: what it adds enters its queue
by the one way in, with its callback, its tenant's limits and its trace.
"""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from schemas.envelope import Callback
from schemas.job_spec import JobSpec, RetryPolicy
from schemas.schedule import Cron, Every, Origin


class FireSchedule(BaseModel):
    """Add the job that a schedule asks for. The schedule itself is kept as this payload."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schedule: str
    kind: str
    payload: dict[str, Any]
    when: Cron | Every
    callback: Callback | None = None
    origin: Origin


class FiredSchedule(BaseModel):
    """Which job it became."""

    model_config = ConfigDict(frozen=True)

    job_id: str
    due_at: datetime
    late_s: float = Field(ge=0)


# A firing outlasts an outage of ten minutes, or a tenant's limit, and a schedule's next one comes anyway.
FIRE = JobSpec(
    kind="schedules.fire",
    payload=FireSchedule,
    result=FiredSchedule,
    timeout_s=60,
    retry=RetryPolicy(attempts=15, base_s=1, cap_s=60),
    internal=True,
)
