"""An attempt whose start and progress somebody wants to hear of: adds the jobs that tell it, beside the attempt.

A job that does not ask for it pays for one look into its data. For one that does, whatever is added
here is added in the background and may be lost: it neither slows the job nor fails it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256
from typing import Self

import structlog
from redis.asyncio import Redis

from producers import connection
from producers.engine.jobs import Engine, NewJob
from schemas.envelope import KEY, OUTCOMES, Envelope, InterimType
from schemas.errors import EngineUnavailable, PayloadInvalid
from schemas.job_status import Progress
from schemas.jobs.callbacks_interim import DELIVER, DeliverInterim
from schemas.outcome import Outcome
from schemas.settings import EngineSettings
from worker.context import Delivery

log = structlog.get_logger()

EVERY_S = 1.0


class Interim:
    """Makes attempts, and has their start and progress told where the job's callback asks for it."""

    def __init__(self, attempt: Callable[[Delivery], Awaitable[Outcome]], redis: Redis, *, prefix: str) -> None:
        """Add through ``redis``, a fail-fast client that the caller closes after ``settle``."""
        self._attempt = attempt
        # What has been told is removed at once: the same id is free for the next news.
        self._engine = Engine(redis, prefix=prefix, keep_finished_s=0, keep_finished_count=0)
        self._adding: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def opened(
        cls, settings: EngineSettings, attempt: Callable[[Delivery], Awaitable[Outcome]]
    ) -> AsyncIterator[Self]:
        """Add through a client of its own, closed at the end of the block; it connects when it is first needed."""
        async with connection.fail_fast(settings.redis_url) as redis:
            interim = cls(attempt, redis, prefix=settings.queue_prefix)
            yield interim
            await interim.settle()

    async def __call__(self, delivery: Delivery) -> Outcome:
        """Make one attempt at a job."""
        envelope = _wishes(delivery)
        if envelope is None:
            return await self._attempt(delivery)
        started, progressed = _notices(delivery, envelope)
        if started:
            self._add(started)
        if not progressed:
            return await self._attempt(delivery)
        pace = _Pace(lambda: self._add(progressed))

        async def set_progress(progress: Progress) -> None:
            await delivery.set_progress(progress)
            pace.note()

        try:
            return await self._attempt(replace(delivery, set_progress=set_progress))
        finally:
            pace.end()

    async def settle(self) -> None:
        """Return when nothing is being added any more."""
        await asyncio.gather(*self._adding)

    def _add(self, notice: NewJob) -> None:
        adding = asyncio.create_task(self._try(notice))
        self._adding.add(adding)
        adding.add_done_callback(self._adding.discard)

    async def _try(self, notice: NewJob) -> None:
        try:
            # One of this id that still waits will look at the job when it is sent: so there is never more than one.
            await self._engine.add(notice)
        except EngineUnavailable as error:
            log.debug("interim.lost", job_id=notice.id, reason=str(error))


class _Pace:
    """Tells at once, then once in ``EVERY_S`` at the most, and in the end what was last."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell
        self._told_at = float("-inf")
        self._timer: asyncio.TimerHandle | None = None

    def note(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(0.0, self._told_at + EVERY_S - loop.time()), self._due)

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _due(self) -> None:
        self._timer, self._told_at = None, asyncio.get_running_loop().time()
        self._tell()


def _wishes(delivery: Delivery) -> Envelope | None:
    # Anybody may have added the job, with anything in the place of an envelope.
    found: object = delivery.data
    for key in (KEY, "callback", "events"):
        found = found.get(key) if isinstance(found, dict) else None
    if not isinstance(found, list) or delivery.failed is not None or all(event in OUTCOMES for event in found):
        return None
    try:
        return Envelope.unwrap(delivery.data)[0]
    except PayloadInvalid:
        # The attempt says so, to whom it concerns.
        return None


def _notices(delivery: Delivery, envelope: Envelope) -> tuple[NewJob | None, NewJob | None]:
    started = _notice(delivery, envelope, "job.started", f"{delivery.id} started {delivery.number}")
    return started, _notice(delivery, envelope, "job.progress", f"{delivery.id} progress")


def _notice(delivery: Delivery, envelope: Envelope, event: InterimType, identity: str) -> NewJob | None:
    callback = envelope.callback
    if callback is None or event not in callback.events:
        return None
    job_id = f"{DELIVER.queue}_{sha256(identity.encode()).hexdigest()[:26]}"
    payload = DeliverInterim(job_id=delivery.id, type=event, callback=callback)
    sender = Envelope(tenant=envelope.tenant, traceparent=envelope.traceparent)
    return NewJob(job_id, DELIVER, sender.wrap(payload))
