"""The worker's one border with the engine: the only file on this side that knows BullMQ.

What leans on private parts of the package is here as well, for the version that pyproject pins.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast
from uuid import uuid4

import structlog
from bullmq import Job, Worker
from bullmq.custom_errors import DelayedError, UnrecoverableError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from producers.engine import CANCEL_FIELD
from schemas import job_id as ids
from schemas.job_status import Progress
from schemas.outcome import Cancelled, Completed, DeadLettered, Outcome, Retrying
from worker.context import Cancellation, Delivery

log = structlog.get_logger()

BLOCK_S = 5.0
_CANCEL_WATCH_S = 0.4
_RECONNECT_MS = 1_000
_KEEP_LOGS = 1_000


@dataclass(frozen=True)
class ConsumerOptions:
    """How jobs are taken from one queue."""

    queue: str
    prefix: str
    name: str
    concurrency: int
    lock_s: float
    crashes: int
    keep_finished_s: int


class AttemptFailed(Exception):  # noqa: N818 - the engine stores its text; it is no fault of ours
    """Tells the engine to run the job again after ``delay_ms``."""

    def __init__(self, reason: str, delay_ms: int) -> None:
        """Carry the public reason and the wait."""
        super().__init__(reason)
        self.delay_ms = delay_ms


class LeftAlone(DelayedError):  # type: ignore[misc] - the package has no types
    """Tells the engine to write nothing: the job is no longer this worker's to end."""


class Consumer:
    """Takes jobs from one queue, has each attempted, and reports the outcome to the engine."""

    def __init__(
        self, redis: Redis, options: ConsumerOptions, attempt: Callable[[Delivery], Awaitable[Outcome]]
    ) -> None:
        """Read through ``redis``, a patient client that the caller closes."""
        self._redis = redis
        self._options = options
        self._attempt = attempt
        self._running: dict[str, tuple[asyncio.Task[Any], Cancellation]] = {}
        self._worker = _Worker(options.queue, self._process, _engine_options(redis, options))
        # Without a listener the engine drops every trouble without a word.
        self._worker.on("error", self._trouble)
        self._worker.on("lockRenewalFailed", self._give_up)
        self._worker.on("stalled", lambda job_id: log.warning("job.stalled", job_id=self._public(job_id)))

    async def run(self) -> None:
        """Take jobs until ``stop``."""
        # Until the version is known the engine blocks in whole seconds and delayed jobs are late.
        await self._worker.blockingRedisConnection.getRedisVersion()
        watch = asyncio.create_task(self._watch_cancellations())
        try:
            await self._worker.run()
        finally:
            watch.cancel()

    async def stop(self) -> None:
        """Take no more jobs, and return when those under way have ended."""
        # The package shields its own closing from being cancelled, so it gets a task of its own.
        closing = asyncio.create_task(self._worker.close())
        await asyncio.wait({closing})

    def abandon(self) -> None:
        """End what still runs and tell the engine nothing: the locks run out and others take the jobs."""
        for job_id, (task, _) in self._running.items():
            log.warning("job.abandoned", job_id=self._public(job_id))
            task.cancel()

    async def _process(self, job: Job, _token: str) -> Any:  # noqa: ANN401 - any JSON
        cancellation = Cancellation(requested=job.cancel_requested)
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._running[job.id] = (task, cancellation)
        try:
            outcome = await self._attempt(self._delivery(job, cancellation))
        except asyncio.CancelledError:
            # The lock is lost or the worker is stopping: a word to the engine now could only
            # overwrite what the job's next runner says. One that escaped would end the engine's loop.
            task.uncancel()
            raise LeftAlone("the job is left to its next worker") from None
        finally:
            del self._running[job.id]
        match outcome:
            case Completed(result):
                return result.model_dump(mode="json")
            case Retrying(error, delay_s):
                raise AttemptFailed(str(error.public()), round(delay_s * 1000))
            case DeadLettered(error) | Cancelled(error):
                raise UnrecoverableError(str(error.public()))

    def _delivery(self, job: Job, cancellation: Cancellation) -> Delivery:
        async def set_progress(progress: Progress) -> None:
            await job.updateProgress(progress.model_dump())

        async def append_log(line: str) -> None:
            await self._worker.backend.addLog(job.id, line, _KEEP_LOGS)

        return Delivery(
            id=self._public(job.id),
            queue=self._options.queue,
            name=job.name,
            data=job.data,
            number=job.attemptsMade + 1,
            limit=max(job.opts.get("attempts") or 1, 1),
            waited_s=max(0.0, time.time() - (job.timestamp + (job.delay or 0)) / 1000),
            set_progress=set_progress,
            append_log=append_log,
            cancellation=cancellation,
        )

    async def _watch_cancellations(self) -> None:
        # Looking is the whole protocol: no message can be lost, whoever restarts.
        while True:
            await asyncio.sleep(_CANCEL_WATCH_S)
            running = dict(self._running)
            if not running:
                continue
            pipe = self._redis.pipeline(transaction=False)
            for job_id in running:
                pipe.hexists(self._worker.backend.toKey(job_id), CANCEL_FIELD)
            try:
                flags = await pipe.execute()
            except (RedisError, OSError) as error:
                self._trouble(error)
                continue
            for (_, cancellation), flag in zip(running.values(), flags, strict=True):
                if flag:
                    cancellation.request()

    def _give_up(self, job_ids: list[str]) -> None:
        for job_id in job_ids:
            if found := self._running.get(job_id):
                log.warning("job.lock_lost", job_id=self._public(job_id))
                found[0].cancel()

    def _trouble(self, error: Exception, *_: object) -> None:
        log.warning("engine.troubled", queue=self._options.queue, error=type(error).__name__, reason=str(error))

    def _public(self, engine_id: str) -> str:
        return ids.public(self._options.queue, engine_id)


class _Worker(Worker):  # type: ignore[misc] - the package has no types
    """The package's worker with what its Python version lacks."""

    async def moveToActive(self, token: str) -> Any:  # noqa: N802, ANN401 - the package's name
        # The package's tokens come from a late-bound closure: jobs fetched in one turn of the
        # loop share one, and a shared token cannot tell two runners apart.
        return await super().moveToActive(f"{token}:{uuid4().hex}")

    async def nextJobFromJobData(self, job_data: Any = None, *rest: Any) -> Any:  # noqa: N802, ANN401
        raw = job_data
        job = await super().nextJobFromJobData(job_data, *rest)
        if job is not None:
            job.cancel_requested = CANCEL_FIELD in raw
            # Whoever added the job, the delay between attempts is what our judge says.
            job.opts["backoff"] = {"type": "corral"}
            job.opts["stackTraceLimit"] = 0
        return job


def _engine_options(redis: Redis, options: ConsumerOptions) -> dict[str, Any]:
    keep = {"age": options.keep_finished_s}
    return {
        "connection": redis,
        "prefix": options.prefix,
        "name": options.name,
        "autorun": False,
        "concurrency": options.concurrency,
        "drainDelay": BLOCK_S,
        "lockDuration": round(options.lock_s * 1000),
        "stalledInterval": round(options.lock_s * 500),
        "maxStalledCount": options.crashes - 1,
        "runRetryDelay": _RECONNECT_MS,
        "removeOnComplete": keep,
        "removeOnFail": keep,
        "settings": {"backoffStrategy": _backoff},
    }


def _backoff(_attempts: int, _type: str, error: Exception, _job: Job) -> int:
    return error.delay_ms if isinstance(error, AttemptFailed) else 0
