"""The API's one border with the engine: the only file on this side that knows BullMQ.

The engine's words (camelCase, milliseconds, its names of states) end here.
"""

import json
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from bullmq import FlowProducer, Queue
from redis.asyncio import Redis
from redis.exceptions import RedisError

from schemas import job_id as ids
from schemas.envelope import DEFAULT_TENANT, Envelope
from schemas.errors import Cancelled, CorralError, EngineUnavailable, JobError, JobStalled, PayloadInvalid
from schemas.job_spec import AnySpec, RetrySchedule
from schemas.job_status import JobRecord, JobState, JobStatus, Progress

# The field of a job's hash that says when somebody asked for its end; the worker looks for it.
CANCEL_FIELD = "corralCancelledAt"

_STATES = {
    "waiting": JobState.WAITING,
    "prioritized": JobState.WAITING,
    "waiting-children": JobState.WAITING,
    "delayed": JobState.DELAYED,
    "active": JobState.ACTIVE,
    "completed": JobState.COMPLETED,
    "failed": JobState.FAILED,
}

# What the engine's own script writes when workers have died under a job too often.
_STALLED = "job stalled more than allowable limit"

# A flag on a job that is gone would leave a hash that nobody owns: look and write in one step.
_REQUEST_CANCEL = """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
"""


@dataclass(frozen=True)
class NewJob:
    """A job to add. With a ``parent`` the two are one flow: the parent waits until the job has ended."""

    id: str
    spec: AnySpec
    data: dict[str, Any]
    parent: "NewJob | None" = None


class Engine:
    """Adds jobs to the queues and reads them back."""

    def __init__(self, redis: Redis, *, prefix: str, keep_finished_s: int) -> None:
        """Speak through ``redis``, a fail-fast client that the caller closes."""
        self._redis = redis
        self._prefix = prefix
        self._keep = {"age": keep_finished_s}
        self._flows = FlowProducer({"connection": redis, "prefix": prefix})
        self._queues: dict[str, Queue] = {}

    async def add(self, job: NewJob) -> None:
        """Write a job, and its parent, in one transaction. Safe to repeat: an id is added once.

        Raises:
            EngineUnavailable: the server did not confirm; the job may or may not be there.
        """
        node = self._node(job)
        if job.parent is not None:
            # Without this option a failed job would keep its parent waiting for ever.
            node["opts"]["ignoreDependencyOnFailure"] = True
            node = {**self._node(job.parent), "children": [node]}
        async with answering():
            await self._flows.add(node)

    async def read(self, job_id: str) -> JobRecord | None:
        """Give a job as it is now, or None when there is none of that id.

        Raises:
            EngineUnavailable: the server does not answer.
        """
        if not (queue := ids.queue_of(job_id)):
            return None
        async with answering():
            engine_id, raw = await self._find(queue, job_id)
            if not raw:
                return None
            state = await self._queue(queue).getJobState(engine_id)
            if state in {"completed", "failed"} and "finishedOn" not in raw:
                # It ended between the two reads.
                engine_id, raw = await self._find(queue, job_id)
        return record(queue, engine_id, raw, state)

    async def request_cancel(self, job_id: str) -> bool:
        """Ask for a job's end; False when there is no such job.

        A worker that runs the job sees the request within a second; one that takes it later ends
        it before it begins. A delayed job is made due, so that its end is not delayed as well.
        """
        queue = ids.queue_of(job_id)
        async with answering():
            engine_id, raw = await self._find(queue, job_id)
            if not raw:
                return False
            key = self._key(queue, engine_id)
            args = (_REQUEST_CANCEL, 1, key, CANCEL_FIELD, str(round(time.time() * 1000)))
            if not await cast("Awaitable[int]", self._redis.eval(*args)):
                return False
            if await self._queue(queue).getJobState(engine_id) == "delayed":
                await self._queue(queue).backend.promote(engine_id)
        return True

    async def logs(self, job_id: str, *, limit: int = 1000) -> list[str]:
        """Give the newest lines that the job's handler wrote, oldest first."""
        queue = ids.queue_of(job_id)
        async with answering():
            engine_id, _ = await self._find(queue, job_id)
            key = f"{self._key(queue, engine_id)}:logs"
            return await cast("Awaitable[list[str]]", self._redis.lrange(key, -limit, -1))

    async def counts(self, queue: str) -> dict[str, int]:
        """Give how many jobs of a queue are in each state of the engine."""
        async with answering():
            found: dict[str, int] = await self._queue(queue).getJobCounts(
                "waiting", "prioritized", "delayed", "active", "waiting-children", "completed", "failed"
            )
        return found

    async def claim(self, key: str, value: str, *, ttl_s: int) -> str | None:
        """Take a key for a while; give None when it was free, else what it holds."""
        async with answering():
            held = await self._redis.set(key, value, nx=True, get=True, ex=ttl_s)
        return cast("str | None", held)

    async def settle(self, key: str, value: str) -> None:
        """Change what a claimed key holds and leave its time to live as it is."""
        async with answering():
            await self._redis.set(key, value, xx=True, keepttl=True)

    async def ping(self) -> None:
        """Return when the server answers.

        Raises:
            EngineUnavailable: it does not.
        """
        async with answering():
            await self._redis.ping()

    def _queue(self, name: str) -> Queue:
        if name not in self._queues:
            self._queues[name] = Queue(name, {"connection": self._redis, "prefix": self._prefix})
        return self._queues[name]

    def _key(self, queue: str, engine_id: str) -> str:
        return f"{self._prefix}:{queue}:{engine_id}"

    async def _find(self, queue: str, job_id: str) -> tuple[str, dict[str, str]]:
        candidates = ids.engine_ids(job_id)
        pipe = self._redis.pipeline(transaction=False)
        for engine_id in candidates:
            pipe.hgetall(self._key(queue, engine_id))
        found: list[dict[str, str]] = await pipe.execute()
        for engine_id, raw in zip(candidates, found, strict=True):
            # Of all the engine's keys only a job's hash has a name.
            if "name" in raw:
                return engine_id, raw
        return job_id, {}

    def _node(self, job: NewJob) -> dict[str, Any]:
        return {
            "name": job.spec.kind,
            "queueName": job.spec.queue,
            "prefix": self._prefix,
            "data": job.data,
            "opts": {
                "jobId": job.id,
                "attempts": job.spec.retry.attempts,
                "backoff": _backoff(job.spec),
                "removeOnComplete": self._keep,
                "removeOnFail": self._keep,
                # A trace shows paths and values to whoever reads the job; ours is in the log.
                "stackTraceLimit": 0,
                "keepLogs": 1000,
            },
        }


@asynccontextmanager
async def answering() -> AsyncIterator[None]:
    """Say of any trouble with the server that it is the server that does not answer."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise EngineUnavailable("the queue's server does not answer; try again shortly") from error


def _backoff(spec: AnySpec) -> dict[str, Any]:
    # In the engine's own terms, so that a worker in Node can run the job as well; our worker
    # applies the spec's policy, with jitter, instead.
    first_s = spec.retry.delays_s[0] if isinstance(spec.retry, RetrySchedule) else spec.retry.base_s
    return {"type": "exponential", "delay": round(first_s * 1000)}


def record(queue: str, engine_id: str, raw: dict[str, str], engine_state: str) -> JobRecord:
    """Translate a job's hash and state from the engine's words into ours."""
    state = _STATES.get(engine_state, JobState.WAITING)
    failure = failed_with(raw, state)
    if (failure and failure.code == Cancelled.code) or (CANCEL_FIELD in raw and state in _BEFORE_RUNNING):
        state = JobState.CANCELLED
    status = JobStatus(
        id=ids.public(queue, engine_id),
        kind=kind_of(queue, raw["name"]),
        state=state,
        progress=_progress(raw.get("progress")),
        attempts=int(raw.get("ats", 0)),
        error=failure,
        added_at=_time(raw["timestamp"]) or datetime.now(UTC),
        started_at=_time(raw.get("processedOn")),
        finished_at=_time(raw.get("finishedOn")),
    )
    result = json.loads(raw["returnvalue"]) if state is JobState.COMPLETED and "returnvalue" in raw else None
    return JobRecord(status=status, data=_data(raw), result=result)


# A worker that takes a flagged job ends it unrun, so for its owner it has ended already.
_BEFORE_RUNNING = frozenset({JobState.WAITING, JobState.DELAYED})


def kind_of(queue: str, name: str) -> str:
    """Name a job's kind: programs that add jobs plainly may say the verb alone."""
    return name if name.startswith(f"{queue}.") else f"{queue}.{name}"


def failed_with(raw: dict[str, str], state: JobState) -> JobError | None:
    """Read why a job's last attempt failed; the engine's own reason is a stall."""
    if state is JobState.COMPLETED or not (text := raw.get("failedReason")):
        return None
    return JobError.parse(text, unknown=JobStalled.code if text == _STALLED else CorralError.code)


def _data(raw: dict[str, str]) -> dict[str, Any]:
    data = json.loads(raw.get("data") or "{}")
    return data if isinstance(data, dict) else {}


def tenant_of(found: JobRecord) -> str:
    """Say whose job it is; one with an envelope that nobody can read belongs to the default tenant."""
    try:
        envelope, _ = Envelope.unwrap(found.data)
    except PayloadInvalid:
        return DEFAULT_TENANT
    return envelope.tenant


def _progress(text: str | None) -> Progress | None:
    stored = json.loads(text) if text else None
    match stored:
        case {"done": int() as done, "total": int() as total}:
            return Progress(done=done, total=total, unit=str(stored.get("unit", "steps")))
        case int() | float() if stored:
            # Programs that report plainly give a percentage.
            return Progress(done=round(stored), total=100, unit="percent")
        case _:
            return None


def _time(milliseconds: str | None) -> datetime | None:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC) if milliseconds else None
