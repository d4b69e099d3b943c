"""Events before a job's end: told to those who ask, and never at the cost of the job or of its outcome."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import count

import pytest
from bullmq import Queue
from standardwebhooks.webhooks import Webhook

from corral.stack import free_port, new_secret
from producers import connection
from producers.engine.jobs import NewJob
from producers.engine.notice import callback_id
from schemas import job_id as ids
from schemas.callback_event import InterimEvent
from schemas.envelope import KEY, Callback, Envelope, EventType
from schemas.errors import Retryable
from schemas.job_spec import RetrySchedule
from schemas.job_status import JobState, Progress
from schemas.jobs.callbacks import DELIVER, DeliverCallback
from schemas.jobs.callbacks_interim import DELIVER as DELIVER_INTERIM
from schemas.outcome import Completed, Outcome
from tests.support.callback_sender import callback_sender, job_reader
from tests.support.delivery import delivery
from tests.support.fleet import QUEUE, Fleet, Seen, Trial, Verdict, entry, hang, raising, spec, succeed
from tests.support.http_receiver import Answer, HttpReceiver, Request
from tests.support.until import until
from worker.context import Delivery
from worker.handlers.callbacks.deliver import PORTS
from worker.handlers.callbacks.deliver import handle as deliver
from worker.handlers.callbacks_interim.deliver import PORTS as INTERIM_PORTS
from worker.handlers.callbacks_interim.deliver import handle as deliver_interim
from worker.interim import EVERY_S, Interim
from worker.ports import CallbackSender, JobContext, JobReader
from worker.registry import Entry

SECRET = new_secret()
INTERIM_QUEUE = "bull:callbacks-interim"
CALLBACKS = Entry(replace(DELIVER, retry=RetrySchedule((0.02,) * 9)), deliver, frozenset(PORTS))
# As it ships, only sooner: three tries.
INTERIM = Entry(replace(DELIVER_INTERIM, retry=RetrySchedule((0.02, 0.02))), deliver_interim, frozenset(INTERIM_PORTS))
FEW: list[object] = [None, [], {KEY: 7}, {KEY: {"callback": 7}}, {KEY: {"callback": {"events": 7}}}]


@pytest.fixture
async def ports(fleet: Fleet) -> AsyncIterator[dict[type, object]]:
    """What the handlers need, as the product opens it."""
    async with callback_sender(fleet, SECRET) as sender:
        yield {CallbackSender: sender, JobReader: job_reader(fleet)}


async def add(fleet: Fleet, receiver: HttpReceiver, *events: EventType) -> tuple[str, str]:
    """Add a job with a callback, as the API does; give the ids of both."""
    job_id = ids.new(QUEUE)
    callback = Callback.model_validate({"url": receiver.url, "events": events})
    notice = DeliverCallback(job_id=job_id, kind=spec().kind, callback=callback)
    parent = NewJob(callback_id(job_id), DELIVER, Envelope().wrap(notice))
    await fleet.engine.add(NewJob(job_id, spec(), Envelope(callback=callback).wrap(Trial()), parent))
    return job_id, parent.id


def types(receiver: HttpReceiver) -> list[str]:
    """Give what was told, in order, each with a signature that is right."""
    return [str(Webhook(SECRET).verify(one.body, one.headers)["type"]) for one in receiver.requests]


def interim(request: Request) -> InterimEvent:
    """Read one event of a job that runs."""
    return InterimEvent.model_validate_json(request.body)


async def nothing_kept(fleet: Fleet) -> bool:
    """Tell that no job of the queue is in the server."""
    return await fleet.redis.keys(f"{INTERIM_QUEUE}:callbacks-interim_*") == []


async def test_a_start_is_told_while_the_job_runs(
    fleet: Fleet, receiver: HttpReceiver, ports: dict[type, object]
) -> None:
    """And then its end; each event has an id of its own."""

    async def wait(_: Trial, __: JobContext) -> Verdict:
        await until(lambda: bool(receiver.requests))
        return Verdict()

    job_id, callback = await add(fleet, receiver, "job.started", "job.completed")
    async with fleet.worker(entry(wait), CALLBACKS, INTERIM, ports=ports):
        await fleet.ended(callback)
    assert types(receiver) == ["job.started", "job.completed"]
    event = interim(receiver.requests[0])
    assert (event.data.id, event.data.state, event.data.attempts) == (job_id, JobState.ACTIVE, 1)
    assert event.timestamp == event.data.started_at
    assert event.data.progress is None
    assert len({one.headers["webhook-id"] for one in receiver.requests}) == 2


async def test_each_attempt_is_a_start_of_its_own(
    fleet: Fleet, receiver: HttpReceiver, ports: dict[type, object]
) -> None:
    """`attempts` says which one began."""
    runs = Seen([raising(Retryable("not yet", retry_after_s=0.5)), hang])
    job_id, _ = await add(fleet, receiver, "job.started")
    async with fleet.worker(entry(runs), CALLBACKS, INTERIM, ports=ports):
        await until(lambda: len(receiver.requests) == 2)
        await fleet.engine.request_cancel(job_id)
        await fleet.ended(job_id)
    assert [interim(one).data.attempts for one in receiver.requests] == [1, 2]
    assert len({one.headers["webhook-id"] for one in receiver.requests}) == 2


async def test_progress_is_told_at_once_and_then_seldom_and_the_newest_wins(
    fleet: Fleet, receiver: HttpReceiver, ports: dict[type, object]
) -> None:
    """Of all that is reported within a second what is told is where the job is then."""

    async def work(_: Trial, job: JobContext) -> Verdict:
        reports = count(1)

        async def reported() -> bool:
            await job.progress(Progress(done=next(reports), total=0, unit="pages"))
            return len(receiver.requests) == 2

        await until(reported)
        return Verdict()

    _, callback = await add(fleet, receiver, "job.progress", "job.completed")
    async with fleet.worker(entry(work), CALLBACKS, INTERIM, ports=ports):
        await fleet.ended(callback)
    assert types(receiver) == ["job.progress", "job.progress", "job.completed"]
    first, second = (interim(one) for one in receiver.requests[:2])
    told = [event.data.progress.done for event in (first, second) if event.data.progress]
    assert told[0] == 1
    assert told[1] > 2
    # The second look came a second after the first was asked for, and that one may have been late.
    assert (second.timestamp - first.timestamp).total_seconds() > EVERY_S / 2
    assert len({one.headers["webhook-id"] for one in receiver.requests}) == 3


async def test_nothing_is_added_for_a_job_that_does_not_ask(
    fleet: Fleet, receiver: HttpReceiver, ports: dict[type, object]
) -> None:
    """Its callback tells of its end, and the queue of other news was never touched."""
    _, callback = await add(fleet, receiver, "job.completed")
    async with fleet.worker(entry(succeed), CALLBACKS, ports=ports):
        await fleet.ended(callback)
    assert types(receiver) == ["job.completed"]
    assert await fleet.redis.keys(f"{INTERIM_QUEUE}:*") == []


async def test_a_receiver_that_refuses_news_still_gets_the_outcome(
    fleet: Fleet, receiver: HttpReceiver, ports: dict[type, object]
) -> None:
    """News is given up after three tries under one id, and nothing of it stays."""
    receiver.answers = [Answer(500)] * 3

    async def wait(_: Trial, __: JobContext) -> Verdict:
        await until(lambda: len(receiver.requests) == 3)
        await until(lambda: nothing_kept(fleet))
        return Verdict()

    _, callback = await add(fleet, receiver, "job.started", "job.completed")
    async with fleet.worker(entry(wait), CALLBACKS, INTERIM, ports=ports):
        assert (await fleet.ended(callback)).status.state is JobState.COMPLETED
    assert types(receiver) == ["job.started"] * 3 + ["job.completed"]
    assert len({one.headers["webhook-id"] for one in receiver.requests}) == 2


async def test_news_that_nobody_takes_does_not_pile_up(fleet: Fleet, receiver: HttpReceiver) -> None:
    """However long a job reports: at most one start and one progress of it wait, and no worker slows it."""

    async def report(_: Trial, job: JobContext) -> Verdict:
        enough_at = time.monotonic() + 2.5 * EVERY_S

        async def reported() -> bool:
            await job.progress(Progress(done=1, total=3))
            return time.monotonic() > enough_at

        await until(reported)
        return Verdict()

    job_id, _ = await add(fleet, receiver, "job.started", "job.progress")
    async with fleet.worker(entry(report)):
        await fleet.ended(job_id)
    assert await fleet.redis.llen(f"{INTERIM_QUEUE}:wait") == 2


@pytest.mark.parametrize("is_removed", [False, True])
async def test_of_a_job_that_has_ended_there_is_no_news(
    fleet: Fleet, receiver: HttpReceiver, ports: dict[type, object], *, is_removed: bool
) -> None:
    """Whatever waited until then is dropped, also when an operator has removed the job."""
    callback = Callback.model_validate({"url": receiver.url, "events": ["job.started"]})
    job_id = await fleet.add(spec(), Trial(), callback=callback)
    async with fleet.worker(entry(succeed)):
        await fleet.ended(job_id)
    await until(lambda: fleet.redis.llen(f"{INTERIM_QUEUE}:wait"))
    if is_removed:
        await Queue(QUEUE, {"connection": fleet.redis}).remove(job_id)
    async with fleet.worker(INTERIM, ports=ports):
        await until(lambda: nothing_kept(fleet))
    assert receiver.requests == []


async def test_without_the_server_news_is_lost_and_the_attempt_is_not() -> None:
    """Nothing waits for it."""
    async with connection.fail_fast(f"redis://127.0.0.1:{free_port()}") as redis:
        interim_of = Interim(attempted, redis, prefix="bull")
        callback = {"url": "http://localhost/", "events": ["job.started", "job.progress"]}
        assert isinstance(await interim_of(delivery(data={KEY: {"callback": callback}})), Completed)
        await interim_of.settle()


@pytest.mark.parametrize("data", [*FEW, {KEY: {"callback": {"url": "no", "events": ["job.started"]}}}])
async def test_what_is_no_wish_is_none(fleet: Fleet, data: object) -> None:
    """The job is attempted all the same, and says itself what is wrong with it."""
    interim_of = Interim(attempted, fleet.redis, prefix="bull")
    assert isinstance(await interim_of(delivery(data=data)), Completed)
    await interim_of.settle()
    assert await fleet.redis.keys(f"{INTERIM_QUEUE}:*") == []


async def attempted(given: Delivery) -> Outcome:
    """Make an attempt that reports and succeeds."""
    await given.set_progress(Progress(done=1, total=1))
    return Completed.of(Verdict())
