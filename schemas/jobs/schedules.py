"""Jobs of the queue ``schedules``: each is one firing of a schedule, and adds the job that is due.

The engine's scheduler makes plain jobs, so a firing is one of its own: what it adds enters its queue
by the one way in, with its callback, its tenant's limits and its trace.
"""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from schemas.envelope import Callback
from schemas.errors import Permanent
from schemas.job_spec import JobSpec, RetrySchedule
from schemas.schedule import Cron, Every, Origin

# Twelve minutes for an outage, and then up to a day for a tenant who is at its limits.
_DELAYS_S = (1, 2, 5, 10, 30, 60, 120, 240, 240, 600, 900, 1_800, *([3_600] * 23))


class FiringSkipped(Permanent):
    """The tenant was at its limits until the schedule's next firing came. Remedy: raise them, or have jobs end."""

    code = "firing_skipped"


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


FIRE = JobSpec(
    kind="schedules.fire",
    payload=FireSchedule,
    result=FiredSchedule,
    timeout_s=60,
    retry=RetrySchedule(_DELAYS_S, jitter=0.2),
    internal=True,
)
