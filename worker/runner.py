"""Takes jobs, has each attempted, keeps its lock meanwhile, and reports the outcome.

The loop is ours, for the engine's own package lets jobs share a lock, lets locks run out while it
stops, ends for good when a handler leaks a cancel, and records work as failed when only the word of
its success was lost (docs/decisions).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar, cast

import structlog

from schemas.errors import CorralError, EngineUnavailable
from schemas.outcome import Outcome
from worker.consumer import Consumer, LockLost
from worker.context import Cancellation, Delivery
from worker.taken_job import TakenJob

log = structlog.get_logger()

News = TypeVar("News")

_CANCEL_WATCH_S = 0.4
_LEVEL_S = 0.5
_RECONNECT_S = 1.0
_TELL_S = 2.0
_HAND_BACK_S = 0.5


@dataclass(eq=False, slots=True)
class _Held:
    """A job under way here. ``kept_at`` is when its lock was last known to be ours.

    While it ``is_ending`` its lock goes, as it should; to cancel it then would be to lose the job that the engine has
    given in its place.
    """

    taken: TakenJob
    task: "asyncio.Task[Any]"
    cancellation: Cancellation
    is_ending: bool = False
    kept_at: float = field(default_factory=time.monotonic)


class Runner:
    """Runs the jobs of one queue, ``concurrency`` at a time."""

    def __init__(
        self, consumer: Consumer, attempt: Callable[[Delivery], Awaitable[Outcome]], *, concurrency: int
    ) -> None:
        """Take jobs from ``consumer`` and have ``attempt`` make each attempt."""
        self._consumer = consumer
        self._attempt = attempt
        self._concurrency = concurrency
        self._held: dict[TakenJob, _Held] = {}

    @property
    def queue(self) -> str:
        """The queue that is read."""
        return self._consumer.options.queue

    async def run(self) -> None:
        """Take jobs until ``stop``; return when the last one under way has ended.

        Cancelled after ``stop``, it ends what is under way at once and hands it back. Whatever it
        raises means that the queue is no longer read.

        Raises:
            EngineUnavailable: the server did not answer at the start.
        """
        await self._consumer.open()
        try:
            await self._serve()
        finally:
            with suppress(EngineUnavailable, TimeoutError):
                async with asyncio.timeout(_HAND_BACK_S):
                    for taken in await self._consumer.unheard_of():
                        await self._hand_back(taken)

    def stop(self) -> None:
        """Take no more jobs."""
        self._consumer.stop()

    async def _serve(self) -> None:
        async with asyncio.TaskGroup() as group:
            watch_s = self._consumer.options.watch_s
            watching = [
                group.create_task(self._every(watch_s, self._keep_locks)),
                group.create_task(self._every(watch_s, self._find_stalled)),
                group.create_task(self._every(_CANCEL_WATCH_S, self._look_for_cancellations)),
                group.create_task(self._every(_LEVEL_S, self._consumer.level)),
            ]
            async with asyncio.TaskGroup() as jobs:
                # A task of its own, because the package swallows a cancel that comes after ``stop``.
                jobs.create_task(self._take(jobs))
            # Not before: the lock of a job under way is renewed to its very end.
            for watch in watching:
                watch.cancel()

    async def _take(self, jobs: asyncio.TaskGroup) -> None:
        free = asyncio.Semaphore(self._concurrency)
        while not self._consumer.stopping:
            await free.acquire()
            if (taken := await self._next()) is not None:
                jobs.create_task(self._run(taken)).add_done_callback(lambda _: free.release())

    async def _next(self) -> TakenJob | None:
        while not self._consumer.stopping:
            try:
                if (taken := await self._consumer.take()) is not None:
                    return taken
            except EngineUnavailable as error:
                self._trouble(error)
                await asyncio.sleep(_RECONNECT_S)
        return None

    async def _run(self, taken: TakenJob) -> None:
        following: TakenJob | None = taken
        while following is not None:
            following = await self._run_one(following)
            if following is not None and self._consumer.stopping:
                await self._hand_back(following)
                return

    async def _run_one(self, taken: TakenJob) -> TakenJob | None:
        held = _Held(taken, _this_task(), Cancellation(requested=taken.cancel_requested))
        self._held[taken] = held
        try:
            if taken.asks_for_callback:
                await self._adopt(taken)
            outcome = await self._attempt(self._delivery(held))
            held.is_ending = True
            return await self._acknowledge(taken, outcome)
        except asyncio.CancelledError:
            # The lock is lost, and then no word of ours may reach the engine; or we are stopping.
            if self._consumer.stopping:
                await self._hand_back(taken)
            raise
        finally:
            del self._held[taken]

    async def _adopt(self, taken: TakenJob) -> None:
        # Before the work: from here on whatever ends the job makes its callback due.
        while True:
            try:
                return await self._consumer.adopt(taken)
            except EngineUnavailable as error:
                self._trouble(error)
                await asyncio.sleep(_RECONNECT_S)

    def _delivery(self, held: _Held) -> Delivery:
        taken = held.taken
        return Delivery(
            id=taken.id,
            queue=self.queue,
            name=taken.job.name,
            data=taken.job.data,
            number=taken.number,
            limit=taken.limit,
            waited_s=taken.waited_s,
            set_progress=partial(self._tell, self._consumer.set_progress, taken),
            append_log=partial(self._tell, self._consumer.append_log, taken),
            failed=taken.failed,
            cancellation=held.cancellation,
        )

    async def _tell(self, write: Callable[[TakenJob, News], Awaitable[None]], taken: TakenJob, news: News) -> None:
        # How far a job is, or what it says, is never worth its failing.
        try:
            async with asyncio.timeout(_TELL_S):
                await write(taken, news)
        except (EngineUnavailable, LockLost, TimeoutError) as error:
            self._trouble(error)

    async def _acknowledge(self, taken: TakenJob, outcome: Outcome) -> TakenJob | None:
        # For as long as the lock is ours: work that was done is never recorded as anything else.
        while True:
            try:
                return await self._consumer.end(taken, outcome)
            except EngineUnavailable as error:
                self._trouble(error)
                await asyncio.sleep(_RECONNECT_S)
            except LockLost as error:
                # Or ended: an earlier word of ours may have arrived and its answer not.
                log.warning("job.unacknowledged", job_id=taken.id, reason=str(error))
                return None

    async def _hand_back(self, taken: TakenJob) -> None:
        try:
            async with asyncio.timeout(_HAND_BACK_S):
                await self._consumer.hand_back(taken)
            log.warning("job.handed_back", job_id=taken.id)
        except (EngineUnavailable, LockLost, TimeoutError) as error:
            # It has ended, or its lock runs out, and then another worker finds it.
            self._trouble(error)

    async def _every(self, interval_s: float, look: Callable[[], Awaitable[None]]) -> None:
        task = _this_task()
        # redis-py can swallow a cancel that comes together with an answer.
        while not task.cancelling():
            await asyncio.sleep(interval_s)
            try:
                await look()
            except EngineUnavailable as error:
                self._trouble(error)

    async def _keep_locks(self) -> None:
        if held := list(self._held.values()):
            await self._renew(held)

    async def _renew(self, held: list[_Held]) -> None:
        now, lock_s = time.monotonic(), self._consumer.options.lock_s
        try:
            async with asyncio.timeout(lock_s / 2):
                lost = await self._consumer.renew([one.taken for one in held])
        except (EngineUnavailable, TimeoutError) as error:
            self._trouble(error)
            lost = [one.taken for one in held if now - one.kept_at > lock_s]
        else:
            for one in held:
                one.kept_at = now
        for taken in lost:
            if taken in self._held and not self._held[taken].is_ending:
                log.warning("job.lock_lost", job_id=taken.id)
                self._held[taken].task.cancel()

    async def _find_stalled(self) -> None:
        for job_id in await self._consumer.find_stalled():
            log.warning("job.stalled", job_id=job_id)

    async def _look_for_cancellations(self) -> None:
        # Looking is the whole protocol: no message can be lost, whoever restarts.
        if self._held:
            for taken in await self._consumer.cancelled(list(self._held)):
                if taken in self._held:
                    self._held[taken].cancellation.request()

    def _trouble(self, error: CorralError | TimeoutError) -> None:
        # Told once by the watchdog, as `engine.lost`: here it would be a line per job and second.
        log.debug("engine.troubled", queue=self.queue, reason=str(error) or type(error).__name__)


def _this_task() -> "asyncio.Task[Any]":
    return cast("asyncio.Task[Any]", asyncio.current_task())
