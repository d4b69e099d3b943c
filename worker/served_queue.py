"""One queue as this process serves it: read by lanes that are opened and closed while it runs.

A lane is a runner with a connection of its own. Closed, it takes nothing more and ends what it runs.
So three wishes are one: to resize a queue, to drain it, and to read it over a new connection is to
close lanes and to open others in the room that is left.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

import structlog
from redis.asyncio import Redis

from schemas.errors import CorralError, EngineUnavailable
from schemas.outcome import Outcome
from schemas.worker_status import ServedQueueStatus
from worker.consumer_options import ConsumerOptions
from worker.context import Delivery
from worker.reading import Reading, WatchedConsumer
from worker.runner import Runner

log = structlog.get_logger()

Make = Callable[[Delivery], Awaitable[Outcome]]
_MOST_LANES = 3
_REOPEN_S = 1.0
_SHOWN_JOBS = 100


class QueueUnread(CorralError):  # noqa: N818 - it is an event that the supervisor acts on
    """A queue is no longer read. Remedy: start the process anew; its supervisor does."""

    code = "queue_unread"


@dataclass(eq=False)
class _Lane:
    runner: Runner
    reading: Reading
    redis: Redis
    size: int
    jobs: set[str]
    closed: bool = False
    run: "asyncio.Task[None]" = field(init=False)

    def close(self) -> None:
        self.closed = True
        self.runner.stop()


class ServedQueue:
    """Takes the jobs of one queue, so many at once as is wished now."""

    def __init__(
        self, options: ConsumerOptions, attempt: Make, connect: Callable[[], Redis], *, concurrency: int
    ) -> None:
        """Read over connections from ``connect``, which it closes, and have ``attempt`` make each attempt."""
        self._options = options
        self._attempt = attempt
        self._connect = connect
        self._concurrency = self._wanted = concurrency
        self._lanes: list[_Lane] = []
        self._changed = asyncio.Event()
        self._stopping = False
        self._has_read = False
        self._failing_since: float | None = None
        # Why it brings in no jobs though the server answers, in the watchdog's words; empty when it does.
        self.trouble = ""

    @property
    def name(self) -> str:
        """The queue that is read."""
        return self._options.queue

    @property
    def concurrency(self) -> int:
        """How many of its jobs may run at once, as set; a wish may say otherwise."""
        return self._concurrency

    @property
    def idle(self) -> bool:
        """Nothing is taken, and nothing runs."""
        return self._wanted == 0 and not self._jobs

    @property
    def unread_since(self) -> float | None:
        """Since when something has been waiting for an answer of the server."""
        moments = [reading.unread_since for reading in self._readings]
        if not any(reading.has_returned for reading in self._readings):
            moments.append(self._failing_since)
        return min((moment for moment in moments if moment is not None), default=None)

    @property
    def vacant_since(self) -> float | None:
        """Since when there has been room for a job, and none has been taken."""
        return min((since for reading in self._readings if (since := reading.vacant_since) is not None), default=None)

    @property
    def well(self) -> bool:
        """The queue is being read by everything that should read it."""
        return not self.trouble and bool(self._open) and all(reading.well for reading in self._readings)

    @property
    def proven(self) -> bool:
        """Every open lane's reads return, those that wait for a job among them."""
        return bool(self._open) and all(reading.proven for reading in self._readings)

    def status(self) -> ServedQueueStatus:
        """Describe it as it is now."""
        jobs = self._jobs
        shown = sorted(jobs)[:_SHOWN_JOBS]
        return ServedQueueStatus(queue=self.name, concurrency=self._wanted, used=len(jobs), read=self.well, jobs=shown)

    def resize(self, concurrency: int) -> None:
        """Run so many jobs at once from now on, 0 to drain; what runs now ends in any case."""
        if concurrency != self._wanted:
            self._wanted = concurrency
            self._changed.set()

    def reconnect(self) -> None:
        """Read over new connections; what runs keeps the one it has."""
        self._failing_since = None
        for lane in self._open:
            lane.close()
        self._changed.set()

    def stop(self) -> None:
        """Take nothing more."""
        self._stopping = True
        for lane in self._open:
            lane.close()
        self._changed.set()

    async def run(self) -> None:
        """Serve until ``stop``; return when the last job has ended. Cancelled, hand back what runs.

        Raises:
            QueueUnread: the queue is no longer read, for a reason that a new process may not have.
        """
        try:
            while not self._stopping or self._lanes:
                self._fill()
                await self._something()
                for lane in [one for one in self._lanes if one.run.done()]:
                    await self._end(lane)
        finally:
            for lane in self._lanes:
                lane.close()
                lane.run.cancel()
            if self._lanes:
                await asyncio.wait([lane.run for lane in self._lanes])
            for lane in self._lanes:
                await lane.redis.aclose()

    @property
    def _open(self) -> list[_Lane]:
        return [lane for lane in self._lanes if not lane.closed]

    @property
    def _readings(self) -> list[Reading]:
        return [lane.reading for lane in self._open]

    @property
    def _jobs(self) -> set[str]:
        return set().union(*(lane.jobs for lane in self._lanes))

    def _fill(self) -> None:
        """Close what is too much, and open a lane in the room that is left."""
        size = sum(lane.size for lane in self._open)
        if size > self._wanted or (size < self._wanted and len(self._open) >= _MOST_LANES):
            for lane in self._open:
                lane.close()
        closed = [lane for lane in self._lanes if lane.closed]
        room = self._wanted - sum(lane.size for lane in self._open) - sum(len(lane.jobs) for lane in closed)
        # One lane at once, and one for the rest when those that were closed are empty.
        if room > 0 and not self._stopping and not (closed and self._open):
            self._lanes.append(self._lane(room))

    def _lane(self, size: int) -> _Lane:
        redis, reading, jobs = self._connect(), Reading(), set[str]()

        async def counted(delivery: Delivery) -> Outcome:
            jobs.add(delivery.id)
            try:
                return await self._attempt(delivery)
            finally:
                jobs.discard(delivery.id)
                if lane.closed:
                    self._changed.set()

        runner = Runner(WatchedConsumer(redis, replace(self._options), reading), counted, concurrency=size)
        lane = _Lane(runner, reading, redis, size, jobs)
        lane.run = asyncio.create_task(runner.run(), name=self.name)
        return lane

    async def _something(self) -> None:
        changed = asyncio.create_task(self._changed.wait())
        try:
            await asyncio.wait({changed, *(lane.run for lane in self._lanes)}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
        self._changed.clear()

    async def _end(self, lane: _Lane) -> None:
        self._has_read = self._has_read or lane.reading.has_returned
        cause = lane.run.exception()
        if not lane.closed and not (self._has_read and isinstance(cause, EngineUnavailable)):
            # It never ends by itself: whatever ended it, a new process is the cure.
            log.error("queue.unread", queue=self.name, exc_info=cause)
            raise QueueUnread(f"the queue {self.name} is no longer read ({cause or 'for no known reason'})") from cause
        self._lanes.remove(lane)
        await lane.redis.aclose()
        if not lane.closed:
            self._failing_since = self._failing_since or lane.reading.opened_at
            with suppress(TimeoutError):
                async with asyncio.timeout(_REOPEN_S):
                    await self._changed.wait()
