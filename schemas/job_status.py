"""A job as its owner sees it."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, Field

from schemas.errors import JobError


class JobState(StrEnum):
    """Where a job is in its life; the last three are final."""

    WAITING = "waiting"
    DELAYED = "delayed"
    ACTIVE = "active"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """No worker will touch the job again unless a person asks for it."""
        return self in {JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED}


class Progress(BaseModel):
    """How far a job is, in units of its own (pages, rows, items)."""

    done: int = Field(ge=0)
    total: int = Field(ge=0, description="0 while nobody knows.")
    unit: str = "steps"


class JobStatus(BaseModel):
    """A job's state, progress, attempts and times (RFC 3339, UTC)."""

    id: str
    kind: str
    state: JobState
    progress: Progress | None = None
    attempts: int = Field(ge=0, description="How many attempts have begun.")
    error: JobError | None = Field(default=None, description="Of the last attempt that failed.")
    added_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    links: dict[str, str] = Field(default_factory=dict)


class JobRecord(BaseModel):
    """A job as the engine keeps it, in our words. ``data`` is the payload with its envelope."""

    status: JobStatus
    data: dict[str, Any]
    result: Any = None
