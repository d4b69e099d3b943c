"""Jobs of the queue ``callbacks-interim``: telling a receiver of a job that has not ended.

A queue of its own: no amount of such news, and no receiver that is slow to take it, may keep an
outcome waiting. What is not taken within a minute is given up, for the next news says more.
"""

from pydantic import BaseModel, ConfigDict

from schemas.envelope import Callback, InterimType
from schemas.job_spec import JobSpec, RetrySchedule
from schemas.jobs.callbacks import DeliveredCallback

DELAYS_S = (5.0, 30.0)


class DeliverInterim(BaseModel):
    """Tell a receiver how a job is, unless it has ended by then."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    job_id: str
    type: InterimType
    callback: Callback


DELIVER = JobSpec(
    kind="callbacks-interim.deliver",
    payload=DeliverInterim,
    result=DeliveredCallback,
    timeout_s=30,
    retry=RetrySchedule(DELAYS_S, jitter=0.2),
    internal=True,
)
