"""Cancelling a job wherever it is: it ends once, soon, and its callback says how."""

import asyncio
import json
import random

import pytest
from redis.asyncio import Redis

from corral.stack import new_secret
from producers.engine.fairness import Fairness
from producers.engine.jobs import Engine, NewJob, Tenants
from schemas import job_id as ids
from schemas.envelope import Callback, Envelope
from schemas.errors import Retryable
from schemas.job_spec import AnySpec, RetryPolicy
from schemas.job_status import JobState
from schemas.jobs.callbacks import DELIVER, DeliverCallback
from tests.support.callback_sender import callback_sender, job_reader
from tests.support.fleet import QUEUE, Fleet, Seen, Trial, Verdict, entry, raising, spec, succeed
from tests.support.http_receiver import HttpReceiver
from tests.support.until import until
from worker.handlers.callbacks.deliver import PORTS
from worker.handlers.callbacks.deliver import handle as deliver
from worker.ports import CallbackSender, JobContext, JobReader
from worker.registry import Entry

RUN = spec()
CALLBACKS = Entry(DELIVER, deliver, frozenset(PORTS))
TYPES = {JobState.COMPLETED: "job.completed", JobState.FAILED: "job.failed", JobState.CANCELLED: "job.cancelled"}


@pytest.fixture(params=["plain", "fair"])
async def crowd(request: pytest.FixtureRequest, redis: Redis) -> Fleet:
    """Jobs in the engine's plain line, and jobs with a place among tenants."""
    tenants = Tenants(Fairness(redis)) if request.param == "fair" else Tenants()
    return Fleet(redis, Engine(redis, prefix="bull", keep_finished_s=3600, tenants=tenants))


async def test_a_job_in_a_long_line_ends_before_the_others(crowd: Fleet) -> None:
    """It is the next to be taken, is not begun, and the others keep their order."""
    jobs = [await crowd.add(RUN, Trial(number=number)) for number in range(20)]
    done = Seen()
    await crowd.engine.request_cancel(jobs[15])
    await crowd.engine.request_cancel(jobs[15])
    async with crowd.worker(entry(done), concurrency=1):
        ended = [await crowd.ended(job_id) for job_id in jobs]
    assert ended[15].status.state is JobState.CANCELLED
    assert ended[15].status.finished_at == min(one.status.finished_at for one in ended if one.status.finished_at)
    assert [job.id for job in done.runs] == [job_id for job_id in jobs if job_id != jobs[15]]


async def test_a_delayed_job_ends_at_once(crowd: Fleet) -> None:
    """Not when it would have been due."""
    job = NewJob(ids.new(QUEUE), RUN, Envelope().wrap(Trial()), delay_s=3_600)
    await crowd.engine.add(job)
    assert (await crowd.job(job.id)).status.state is JobState.DELAYED
    async with crowd.worker(entry(raising(SystemExit()))):
        await crowd.engine.request_cancel(job.id)
        assert (await crowd.ended(job.id, within_s=2)).status.state is JobState.CANCELLED


async def test_a_job_between_two_attempts_ends_at_once(crowd: Fleet) -> None:
    """A retry that is an hour away does not come."""
    kind = spec(retry=RetryPolicy(attempts=2, base_s=1e9, cap_s=1e9))
    job_id = await crowd.add(kind, Trial())
    async with crowd.worker(entry(Seen([raising(Retryable("later")), raising(SystemExit())]), kind)):
        await until(lambda: crowd.redis.zcard("bull:trials:delayed"))
        await crowd.engine.request_cancel(job_id)
        assert (await crowd.ended(job_id, within_s=2)).status.state is JobState.CANCELLED


async def test_a_job_that_waits_for_others_ends_unrun_after_them(crowd: Fleet) -> None:
    """Its owner sees at once that it is cancelled; the jobs it waits for are jobs of their own."""
    parent = NewJob(ids.new(QUEUE), RUN, Envelope().wrap(Trial()))
    child = await crowd.add(RUN, Trial(number=1), parent)
    await crowd.engine.request_cancel(parent.id)
    assert (await crowd.job(parent.id)).status.state is JobState.CANCELLED
    done = Seen()
    async with crowd.worker(entry(done)):
        assert (await crowd.ended(child)).status.state is JobState.COMPLETED
        assert (await crowd.ended(parent.id)).status.state is JobState.CANCELLED
    assert [job.id for job in done.runs] == [child]


async def test_a_job_that_has_ended_stays_as_it_is(crowd: Fleet) -> None:
    """No flag is left that would end it when somebody has it done anew."""
    job_id = await crowd.add(RUN, Trial())
    async with crowd.worker(entry(succeed)):
        await crowd.ended(job_id)
    assert await crowd.engine.request_cancel(job_id)
    assert "corralCancelledAt" not in await crowd.raw(job_id)
    assert not await crowd.engine.request_cancel("trials_nothing")


def flow(kind: AnySpec, payload: Trial, url: str) -> NewJob:
    """A job with its callback, as the API adds it."""
    job_id = ids.new(QUEUE)
    notice = DeliverCallback(job_id=job_id, kind=kind.kind, callback=Callback.model_validate({"url": url}))
    parent = NewJob(f"callbacks_{job_id.partition('_')[2]}", DELIVER, Envelope().wrap(notice))
    return NewJob(job_id, kind, Envelope().wrap(payload), parent)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_cancel_at_any_moment_has_one_end_and_a_callback_that_says_it(
    crowd: Fleet, receiver: HttpReceiver, seed: int
) -> None:
    """Sixty jobs that complete, fail or linger, each cancelled at a random moment of its life or before it."""
    rng = random.Random(seed)  # noqa: S311 - moments
    kind = spec(retry=RetryPolicy(attempts=2, base_s=0.01))
    moments: dict[str, int] = {}
    for _ in range(60):
        payload = Trial(text=rng.choice(["", "fail", "linger"]), number=rng.randrange(60))
        job = flow(kind, payload, receiver.url)
        await crowd.engine.add(job)
        moments[job.id] = rng.randrange(200)

    async def live(payload: Trial, _job: JobContext) -> Verdict:
        for _ in range(payload.number):
            await asyncio.to_thread(lambda: None)
        if payload.text == "fail":
            raise Retryable("again")
        if payload.text == "linger":
            await asyncio.Event().wait()
        return Verdict()

    async def cancel(job_id: str, turns: int) -> None:
        for _ in range(turns):
            await asyncio.to_thread(lambda: None)
        assert await crowd.engine.request_cancel(job_id)

    async with callback_sender(crowd, new_secret()) as sender:
        ports: dict[type, object] = {
            CallbackSender: sender,
            JobReader: job_reader(crowd),
        }
        async with crowd.worker(entry(live, kind), CALLBACKS, ports=ports, concurrency=10):
            await asyncio.gather(*(cancel(job_id, turns) for job_id, turns in moments.items()))
            ends = {job_id: (await crowd.ended(job_id, within_s=20)).status.state for job_id in moments}
            await until(lambda: len(receiver.requests) >= len(moments), within_s=20)
            assert {job_id: (await crowd.job(job_id)).status.state for job_id in moments} == ends
    events = [json.loads(request.body) for request in receiver.requests]
    assert len(events) == len(moments)
    assert {event["data"]["id"]: event["type"] for event in events} == {
        job_id: TYPES[state] for job_id, state in ends.items()
    }
    assert await crowd.redis.zcard("bull:trials:completed") + await crowd.redis.zcard("bull:trials:failed") == 60


async def test_a_cancel_while_an_attempt_fails_does_not_wait_for_the_next(crowd: Fleet) -> None:
    """The wish came too late for this attempt, and the next would be an hour away."""
    kind = spec(retry=RetryPolicy(attempts=2, base_s=1e9, cap_s=1e9))

    async def fail(_payload: Trial, job: JobContext) -> Verdict:
        await crowd.engine.request_cancel(job.id)
        raise Retryable("later")

    job_id = await crowd.add(kind, Trial())
    async with crowd.worker(entry(fail, kind)):
        assert (await crowd.ended(job_id, within_s=2)).status.state is JobState.CANCELLED
