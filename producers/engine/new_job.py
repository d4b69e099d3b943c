"""A job to add, and how it is written down for the engine."""

from dataclasses import dataclass
from typing import Any

from schemas.envelope import DEFAULT_TENANT, KEY
from schemas.job_spec import AnySpec, RetrySchedule

# Of a job that a handler has added for its own: when its parent is to end, so is it.
CHILD_OPTION = "corralChild"


@dataclass(frozen=True)
class Parent:
    """A job that is there, and is to wait for another. ``queue`` is with its prefix, ``id`` the engine's."""

    id: str
    queue: str

    @property
    def key(self) -> str:
        """Where the engine has it."""
        return f"{self.queue}:{self.id}"


@dataclass(frozen=True)
class NewJob:
    """A job to add. With a ``parent`` the two are one flow: the parent waits until the job has ended.

    With ``child_of`` a job that is there already does so.
    """

    id: str
    spec: AnySpec
    data: dict[str, Any]
    parent: "NewJob | None" = None
    delay_s: float = 0.0
    child_of: "Parent | None" = None

    @property
    def tenant(self) -> str:
        """Whose job it is, as its envelope says."""
        return str(self.data.get(KEY, {}).get("tenant", DEFAULT_TENANT))


@dataclass(frozen=True)
class Claim:
    """A key that only one job is added with for ``ttl_s`` seconds, and what it is to hold."""

    key: str
    value: str
    ttl_s: int


@dataclass(frozen=True)
class Keep:
    """How long an ended job stays: ``age_s``, and of one queue and end (completed, failed) the newest ``count``.

    The count takes the oldest of all, so it must be far above what ends while a callback is retried.
    """

    age_s: int
    count: int | None = None

    @property
    def rule(self) -> dict[str, int]:
        """The rule in the engine's words."""
        return {"age": self.age_s} if self.count is None else {"age": self.age_s, "count": self.count}


def options(job: NewJob, keep: Keep, *, parent: Parent | None = None, priority: int = 0) -> dict[str, Any]:
    """Write a job's options in the engine's words, the long ones as short as it keeps them.

    ``parent`` is what waits for the job's end; ``priority`` 0 is the engine's plain line.
    """
    written: dict[str, Any] = {
        "jobId": job.id,
        "attempts": job.spec.retry.attempts,
        "backoff": _backoff(job.spec),
        "removeOnComplete": keep.rule,
        "removeOnFail": keep.rule,
        # A trace shows paths and values to whoever reads the job; ours is in the log.
        "stackTraceLimit": 0,
        "kl": 1000,
        "delay": round(job.delay_s * 1000),
    }
    if priority:
        written["priority"] = priority
    if parent is not None:
        written |= {"parent": {"id": parent.id, "queue": parent.queue}, "idof": True}
    if job.child_of is not None:
        written[CHILD_OPTION] = True
    return written


def _backoff(spec: AnySpec) -> dict[str, Any]:
    # In the engine's own terms, so that a worker in Node can run the job as well; our worker
    # applies the spec's policy, with jitter, instead.
    first_s = spec.retry.delays_s[0] if isinstance(spec.retry, RetrySchedule) else spec.retry.base_s
    return {"type": "exponential", "delay": round(first_s * 1000)}
