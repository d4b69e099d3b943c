"""What a worker process says of itself, and what an operator may wish of it."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

MOST_CONCURRENCY = 1_000


class WorkerState(StrEnum):
    """Where a worker is on its way."""

    RUNNING = "running"
    DRAINING = "draining"
    DRAINED = "drained"
    STOPPING = "stopping"


class ServedQueueStatus(BaseModel):
    """A queue as one worker serves it."""

    model_config = ConfigDict(frozen=True)

    queue: str
    concurrency: int = Field(description="How many of its jobs may run at once in this worker.")
    used: int = Field(description="How many run now.")
    read: bool = Field(description="Jobs are being taken from it, or all places are used.")
    jobs: list[str] = Field(default_factory=list, description="The jobs that run now; the first 100.")


class WorkerStatus(BaseModel):
    """One worker process, as it reported itself a moment ago."""

    model_config = ConfigDict(frozen=True)

    id: str
    host: str
    pid: int
    version: str
    state: WorkerState
    started_at: datetime
    seen_at: datetime = Field(description="When it last reported; it does so every second.")
    memory_bytes: int = Field(description="Of this process, without the parsers' processes.")
    queues: list[ServedQueueStatus]


class WorkerWish(BaseModel):
    """What somebody wants of one worker; it looks every second."""

    model_config = ConfigDict(frozen=True)

    drained: bool = Field(default=False, description="Take nothing more; what runs may end.")
    concurrency: dict[str, int] = Field(default_factory=dict, description="By queue; what is not named stays as set.")
