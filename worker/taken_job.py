"""A job as the worker has taken it from the engine, in our words."""

import time

from producers.engine.adoption import asks
from schemas.errors import ChildFailed, CorralError, JobStalled
from worker.engine_job import EngineJob

# What the engine's own script writes when workers have died under a job too often.
_STALLED = "job stalled more than allowable limit"


class TakenJob:
    """A job that this worker holds the lock of, and what the engine's own record of it means.

    ``number`` is the attempt that this is, from 1, of ``limit``.
    """

    __slots__ = ("cancel_requested", "id", "job", "limit", "number")

    def __init__(self, job: EngineJob, public_id: str, *, cancel_requested: bool) -> None:
        """Hold a job; whoever added it may have written anything."""
        self.job = job
        self.id = public_id
        self.cancel_requested = cancel_requested
        self.number = job.attempts_made + 1
        self.limit = job.attempts

    @property
    def asks_for_callback(self) -> bool:
        """Somebody may want to hear of its end, whoever added it."""
        return asks(self.job.data)

    @property
    def waited_s(self) -> float | None:
        """How long it lay in the queue; None for a retry or a run after a crash, when nobody knows."""
        if self.number > 1 or self.job.attempts_started > 1:
            return None
        # The job's own ``delay`` is 0 by now: the engine clears it when a delayed job is due.
        delay = self.job.opts.get("delay")
        due_s = (self.job.timestamp_ms + (delay if isinstance(delay, int) else 0)) / 1000
        return max(0.0, time.time() - due_s)

    @property
    def failed(self) -> CorralError | None:
        """Why the engine gave the job up before we could begin."""
        reason = self.job.deferred_failure
        if reason is None:
            return None
        if reason == _STALLED:
            return JobStalled("the job's worker died under it each time; see the workers' memory and logs")
        return ChildFailed("a job that this one waited for has failed")
