"""The body of a callback: a Standard Webhooks 1.0.0 event about a job that has ended."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from schemas.envelope import EventType
from schemas.errors import JobError
from schemas.job_status import JobState


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
    """What a receiver gets; ``webhook-id`` in the headers is the same on every try."""

    type: EventType
    timestamp: datetime = Field(description="When the job ended.")
    version: Literal[1] = 1
    data: EndedJob
