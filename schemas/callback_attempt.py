"""What came of one attempt to deliver a callback, and what is known of a callback as a whole."""

from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from schemas.errors import JobError, Retryable

# Long enough for a receiver's error page to say what is wrong, too short to fill the server.
ANSWER_LIMIT_CHARS = 4096


class CallbackParked(Retryable):
    """The endpoint takes nothing now, so its callback waits. Remedy: none; one that is disabled must be enabled.

    Nothing was sent, so no attempt is counted.
    """

    code = "callback_parked"


class EndpointDisabled(CallbackParked):
    """By this attempt its endpoint was disabled: it answered 410, or has failed for days. Remedy: mend and enable it.

    The callback waits like all that follow; the metric ``corral_callbacks_total`` tells operators by this code.
    """

    code = "endpoint_disabled"


class CallbackAttempt(BaseModel):
    """One POST, as it went."""

    model_config = ConfigDict(frozen=True)

    at: datetime = Field(description="When it was begun; the signature's timestamp is the same second.")
    url: str
    address: str | None = Field(default=None, description="The IP address that was reached.")
    status: int | None = Field(default=None, description="The receiver's HTTP status; none when it did not answer.")
    latency_s: float = Field(ge=0, description="From the first byte to the receiver's status.")
    error: JobError | None = Field(default=None, description="Why it does not count as delivered.")
    answer: str = Field(default="", description="The first 4 kB of the receiver's body, secrets hidden.")
    retry_after_s: float = Field(default=0.0, ge=0, description="For how long the receiver asked us to wait.")
    signature_base: str = Field(default="", description="What was signed: id, timestamp and body, with dots between.")
    on_request: bool = Field(default=False, description="Somebody asked for it: a replay, or a ping.")


CallbackState = Literal["retrying", "parked", "delivered", "failed"]


class CallbackStatus(BaseModel):
    """A callback as it stands after its newest attempt."""

    id: str = Field(description="Its `webhook-id`.")
    state: CallbackState
    job_id: str
    kind: str
    event: str
    event_at: datetime
    endpoint: str = Field(description="The endpoint's id; of a plain address, the id of its origin.")
    url: str = Field(default="", description="Empty when it was refused because there is no such endpoint.")
    attempts: int = Field(default=0, ge=0)
    status: int | None = Field(default=None, description="The receiver's newest HTTP status.")
    error: JobError | None = Field(default=None, description="Why it has not been delivered.")
    updated_at: datetime


class CallbackRecord(CallbackStatus):
    """A callback with its newest attempts, the oldest first."""

    tries: list[CallbackAttempt]


class CallbackFilter(BaseModel):
    """Which callbacks are meant; what is left out is not looked at."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    state: CallbackState | None = None
    endpoint: str | None = Field(default=None, max_length=64)
    job_id: str | None = Field(default=None, max_length=128)
    since: AwareDatetime | None = Field(default=None, description="Updated no earlier than then.")
    until: AwareDatetime | None = Field(default=None, description="Updated no later than then.")
    cursor: str | None = Field(default=None, max_length=200, description="Where the page before ended.")
    limit: int = Field(default=100, ge=1, le=500)

    def matches(self, found: CallbackStatus) -> bool:
        """Tell whether a callback is meant; its time is not looked at."""
        wanted = {"state": self.state, "endpoint": self.endpoint, "job_id": self.job_id}
        return all(value is None or getattr(found, name) == value for name, value in wanted.items())


class CallbackPage(BaseModel):
    """Callbacks, the one that was updated last first."""

    callbacks: list[CallbackStatus]
    next: str | None = Field(default=None, description="The `cursor` of the next page; null when this is the last.")
