"""A job as the worker has taken it from the engine, in our words."""

import time
from dataclasses import dataclass
from typing import Any

from producers.engine.adoption import asks
from schemas.errors import ChildFailed, CorralError, JobStalled

# What the engine's own script writes when workers have died under a job too often.
_STALLED = "job stalled more than allowable limit"


@dataclass(frozen=True, eq=False)
class TakenJob:
    """A job that this worker holds the lock of, and what the engine's own record of it means."""

    job: Any
    id: str
    cancel_requested: bool

    @property
    def number(self) -> int:
        """Which attempt this is, from 1."""
        return int(self.job.attemptsMade) + 1

    @property
    def limit(self) -> int:
        """How many attempts the job may have; whoever added it may have written anything."""
        attempts = self.job.opts.get("attempts")
        return attempts if isinstance(attempts, int) and attempts > 0 else 1

    @property
    def asks_for_callback(self) -> bool:
        """Somebody may want to hear of its end, whoever added it."""
        return asks(self.job.data)

    @property
    def waited_s(self) -> float | None:
        """How long it lay in the queue; None for a retry or a run after a crash, when nobody knows."""
        if self.number > 1 or self.job.attemptsStarted > 1:
            return None
        # The job's own ``delay`` is 0 by now: the engine clears it when a delayed job is due.
        delay = self.job.opts.get("delay")
        due_s = (int(self.job.timestamp) + (delay if isinstance(delay, int) else 0)) / 1000
        return max(0.0, time.time() - due_s)

    @property
    def failed(self) -> CorralError | None:
        """Why the engine gave the job up before we could begin."""
        if self.job.deferredFailure is None:
            return None
        if self.job.deferredFailure == _STALLED:
            return JobStalled("the job's worker died under it each time; see the workers' memory and logs")
        return ChildFailed("a job that this one waited for has failed")
