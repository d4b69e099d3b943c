"""Jobs of the queue ``callbacks``: telling a receiver how another job ended.

Such a job is the parent of the work in one flow of the engine, so the script that ends the work
is the one that makes the callback due.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.envelope import ENDPOINT_ID, Callback, EventType
from schemas.job_spec import JobSpec, RetryPolicy, RetrySchedule

# Standard Webhooks 1.0.0 proposes this schedule: the last try comes three days after the first.
_MINUTE_S, _HOUR_S = 60.0, 3600.0
DELAYS_S = (
    5.0,
    5 * _MINUTE_S,
    30 * _MINUTE_S,
    2 * _HOUR_S,
    5 * _HOUR_S,
    10 * _HOUR_S,
    14 * _HOUR_S,
    20 * _HOUR_S,
    24 * _HOUR_S,
)


# Of a callback that somebody wants sent again: soon known, and never a herd.
REPLAY_RETRY = RetrySchedule(DELAYS_S[:2])


class DeliverCallback(BaseModel):
    """Tell a receiver how a job ended."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    job_id: str
    kind: str
    callback: Callback
    replay_of: str | None = Field(
        default=None, description="The callback that somebody wants sent again; its id stays."
    )


class PingEndpoint(BaseModel):
    """Send an event to an endpoint to see whether it arrives."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    endpoint: str = Field(pattern=ENDPOINT_ID)


SentEvent = EventType | Literal["endpoint.ping"]


class DeliveredCallback(BaseModel):
    """What came of it. A callback that nobody asked for (``events``) is not sent."""

    model_config = ConfigDict(frozen=True)

    webhook_id: str
    type: SentEvent
    sent: bool
    status: int | None = Field(default=None, description="The receiver's HTTP status.")
    latency_s: float | None = Field(default=None, ge=0)


DELIVER = JobSpec(
    kind="callbacks.deliver",
    payload=DeliverCallback,
    result=DeliveredCallback,
    timeout_s=60,
    retry=RetrySchedule(DELAYS_S, jitter=0.2),
    # Whatever kills workers, it is not the callback, and its receiver must hear.
    crashes=1_000,
    internal=True,
)

PING = JobSpec(
    kind="callbacks.ping",
    payload=PingEndpoint,
    result=DeliveredCallback,
    timeout_s=60,
    retry=RetryPolicy(attempts=1),
    internal=True,
)
