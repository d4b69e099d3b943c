"""The body of a callback: a Standard Webhooks 1.0.0 event about a job, while it runs or when it has ended."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, TypeAdapter

from schemas.envelope import InterimType, OutcomeType
from schemas.errors import JobError
from schemas.job_status import JobState, Progress


class EndedJob(BaseModel):
    """The job that the event is about."""

    id: str
    kind: str
    state: JobState
    attempts: int = Field(ge=0)
    added_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    result: Any = Field(
        default=None, description="As in `GET /v1/jobs/{id}/result`; left out when there is a link to it."
    )
    error: JobError | None = None
    links: dict[str, str] | None = Field(
        default=None, description="`result`: where the API has it, when it is too large for a callback."
    )


class CallbackEvent(BaseModel):
    """How a job ended. It is the last word: nothing that comes after it changes it.

    ``webhook-id`` in the headers is the same on every try.
    """

    type: OutcomeType
    timestamp: datetime = Field(description="When the job ended.")
    version: Literal[1] = 1
    data: EndedJob


class RunningJob(BaseModel):
    """The job that the event is about, as it was at ``timestamp``."""

    id: str
    kind: str
    state: JobState
    attempts: int = Field(ge=0, description="How many attempts have begun.")
    added_at: datetime
    started_at: datetime | None = None
    progress: Progress | None = Field(default=None, description="Only in `job.progress`.")


class InterimEvent(BaseModel):
    """What becomes of a job before its end; sent to those who ask for it. Of two the later ``timestamp`` holds."""

    type: InterimType
    timestamp: datetime = Field(
        description="Of `job.started` when the attempt began, of `job.progress` when it was so."
    )
    version: Literal[1] = 1
    data: RunningJob


AnyEvent = Annotated[CallbackEvent | InterimEvent, Field(discriminator="type")]
"""Every body that a receiver may get."""


def json_schema() -> dict[str, Any]:
    """Give the JSON Schema (2020-12) of every body that a receiver may get."""
    content = TypeAdapter(AnyEvent).json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Corral's callback events", **content}
