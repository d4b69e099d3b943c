"""A queue as an operator sees and steers it."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field


class RateLimit(BaseModel):
    """At most ``jobs`` begin within ``per_s`` seconds, over all workers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    jobs: int = Field(ge=1, le=1_000_000)
    per_s: float = Field(ge=0.001, le=86_400)


class QueueLimits(BaseModel):
    """What holds for a queue over all workers; None is no limit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    concurrency: int | None = Field(default=None, ge=1, le=100_000, description="How many of its jobs run at once.")
    rate: RateLimit | None = Field(default=None, description="How many of its jobs begin in a time.")


class QueueStatus(BaseModel):
    """A queue now."""

    model_config = ConfigDict(frozen=True)

    queue: str
    paused: bool
    counts: dict[str, int] = Field(description="Jobs by the engine's state.")
    completed_last_minute: int
    failed_last_minute: int
    limits: QueueLimits


class Drained(BaseModel):
    """What a drain did."""

    queue: str
    cancelled: int = Field(description="Jobs that had not begun and were asked to end; each ends as `cancelled`.")


class AuditEntry(BaseModel):
    """Somebody steered something."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    by: str = Field(description="The tenant whose token it was.")
    act: str = Field(examples=["queue.paused"])
    on: str = Field(description="The queue or the worker.")
    details: str = Field(default="", description="What exactly, as JSON.")
