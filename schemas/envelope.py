"""What Corral writes beside a job's payload: who it belongs to and who hears of its end.

The job's data in the engine is the payload itself with one more key, so that a Node worker reads
it as it is, and a job that a Node program added plainly is a job with an envelope of defaults::

    {"source": {...}, "options": {...}, "_corral": {"version": 1, "tenant": "default", ...}}
"""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, HttpUrl, ValidationError, model_validator

from schemas.errors import PayloadInvalid

KEY = "_corral"
DEFAULT_TENANT = "default"

LONGEST_S = 30 * 24 * 3600
Seconds = Annotated[float, Field(gt=0, le=LONGEST_S, allow_inf_nan=False)]
ENDPOINT_ID = r"^ep_[0-9a-z]{26}$"
OutcomeType = Literal["job.completed", "job.failed", "job.cancelled"]
InterimType = Literal["job.started", "job.progress"]
EventType = OutcomeType | InterimType
OUTCOMES: tuple[EventType, ...] = ("job.completed", "job.failed", "job.cancelled")


class EnvelopeUnreadable(PayloadInvalid):
    """What stands beside the payload, ``_corral``, is not what we know, so nobody is told of the job's end.

    Remedy: correct the fields that the message names; who adds jobs by the API cannot come here.
    """

    code = "envelope_unreadable"


def _without_user(url: HttpUrl) -> HttpUrl:
    if url.username is not None or url.password is not None:
        raise ValueError("an address must hold no user name and no password")
    return url


CallbackUrl = Annotated[
    HttpUrl, AfterValidator(_without_user), Field(description="An http or https address; it must answer 2xx.")
]


class Callback(BaseModel):
    """Where the outcome of a job is POSTed: to a ``url``, or to a registered ``endpoint``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: CallbackUrl | None = None
    endpoint: str | None = Field(
        default=None, pattern=ENDPOINT_ID, description="The id of one of the tenant's endpoints, in place of a url."
    )
    events: tuple[EventType, ...] = Field(
        default=OUTCOMES, min_length=1, description="Which events to send: the outcomes, unless it says otherwise."
    )

    @model_validator(mode="after")
    def _know_one_receiver(self) -> Self:
        if (self.url is None) == (self.endpoint is None):
            raise ValueError("give url or endpoint, one of them")
        return self


class Limits(BaseModel):
    """How long a job may take; None is what its kind says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    wait_s: Seconds | None = Field(default=None, description="In the queue, until its first attempt: `job_expired`.")
    run_s: Seconds | None = Field(default=None, description="Of one attempt: `job_timed_out`.")
    heartbeat_s: Seconds | None = Field(
        default=None, description="Between two signs of life of an attempt: `job_heartbeat_lost`."
    )


class Envelope(BaseModel):
    """Everything about a job that is not its payload."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    tenant: str = Field(default=DEFAULT_TENANT, min_length=1, max_length=64)
    callback: Callback | None = None
    limits: Limits | None = None
    traceparent: str | None = Field(default=None, description="W3C trace context of the request that added the job.")

    def wrap(self, payload: BaseModel) -> dict[str, Any]:
        """Make the job's data for the engine."""
        return {
            **payload.model_dump(mode="json", exclude_unset=True),
            KEY: self.model_dump(mode="json", exclude_none=True),
        }

    @classmethod
    def unwrap(cls, data: object) -> tuple[Self, dict[str, Any]]:
        """Take a job's data apart, as Corral or anybody else wrote it.

        Raises:
            PayloadInvalid: the data is no JSON object.
            EnvelopeUnreadable: its envelope is not one we know.
        """
        if not isinstance(data, dict):
            raise PayloadInvalid(f"the job's data must be a JSON object, not {type(data).__name__}")
        payload = dict(data)
        try:
            return cls.model_validate(payload.pop(KEY, {})), payload
        except ValidationError as error:
            raise EnvelopeUnreadable(f"{KEY}: {describe(error)}") from error


def describe(error: ValidationError) -> str:
    """Say in one public line which fields are wrong and why, without the values."""
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    lines = [f"{'.'.join(map(str, fault['loc'])) or 'the body'}: {fault['msg']}" for fault in faults]
    return "; ".join(lines[:10])
