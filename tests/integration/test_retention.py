"""What the engine keeps of what is over: ended jobs by age and by number, events by number."""

import pytest
from bullmq import Queue
from pydantic import BaseModel
from redis.asyncio import Redis

from producers.engine.jobs import Engine, NewJob
from producers.engine.notice import callback_id
from schemas import job_id as ids
from schemas.envelope import Envelope
from schemas.errors import Permanent
from schemas.job_spec import JobSpec
from schemas.job_status import JobState
from tests.support.fleet import QUEUE, Fleet, Handle, Trial, Verdict, entry, raising, spec, succeed
from tests.support.until import until

RUN = spec()


@pytest.mark.parametrize(("handle", "end"), [(succeed, "completed"), (raising(Permanent("no")), "failed")])
async def test_of_ended_jobs_the_newest_are_kept(redis: Redis, handle: Handle, end: str) -> None:
    """The oldest are removed with all that is theirs, however they ended."""
    fleet = Fleet(redis, Engine(redis, prefix="bull", keep_finished_s=3600, keep_finished_count=10))
    jobs = [await fleet.add(RUN, Trial(number=number)) for number in range(30)]
    async with fleet.worker(entry(handle), concurrency=1):
        await fleet.ended(jobs[-1])
    assert await redis.zrange(f"bull:{QUEUE}:{end}", 0, -1) == jobs[20:]
    assert await redis.exists(*(f"bull:{QUEUE}:{job_id}" for job_id in jobs[:20])) == 0


async def test_ended_jobs_are_removed_by_age(redis: Redis) -> None:
    """The next job that ends takes those away that are too old."""
    fleet = Fleet(redis, Engine(redis, prefix="bull", keep_finished_s=60))
    old = await fleet.add(RUN, Trial())
    async with fleet.worker(entry(succeed)):
        await fleet.ended(old)
        await redis.zincrby(f"bull:{QUEUE}:completed", -61_000, old)
        young = await fleet.add(RUN, Trial())
        await fleet.ended(young)
    assert await redis.zrange(f"bull:{QUEUE}:completed", 0, -1) == [young]


async def test_the_stream_of_events_does_not_grow(redis: Redis, fleet: Fleet) -> None:
    """Without anybody's doing it stays near the engine's 10,000; a smaller bound of the queue is kept as well."""
    await redis.hset(f"bull:{QUEUE}:meta", "opts.maxLenEvents", 200)
    async with fleet.worker(entry(succeed)):
        for number in range(400):
            await fleet.add(RUN, Trial(number=number))
        await until(lambda: many_completed(redis, 400))
    assert await redis.xlen(f"bull:{QUEUE}:events") < 400
    await Queue("others", {"connection": redis}).add("run", {})
    assert await redis.hget("bull:others:meta", "opts.maxLenEvents") == "10000"


class Told(BaseModel):
    """Of a callback's payload, what is read."""

    kind: str


async def many_completed(redis: Redis, many: int) -> bool:
    """Tell whether so many jobs are done."""
    return await redis.zcard(f"bull:{QUEUE}:completed") == many


async def test_what_became_of_a_removed_job_can_be_read_from_its_callback(redis: Redis) -> None:
    """A callback that comes late still tells how the job ended: its own record has the result, or the error."""
    fleet = Fleet(redis, Engine(redis, prefix="bull", keep_finished_s=3600, keep_finished_count=1))
    notice = JobSpec(kind="callbacks.deliver", payload=Told, result=Verdict)
    jobs: list[str] = []
    for handle in (succeed, raising(Permanent("it is broken")), succeed, raising(Permanent("no"))):
        jobs.append(ids.new(QUEUE))
        parent = NewJob(callback_id(jobs[-1]), notice, Envelope().wrap(Told(kind=RUN.kind)))
        await fleet.engine.add(NewJob(jobs[-1], RUN, Envelope().wrap(Trial(text="a")), parent))
        async with fleet.worker(entry(handle)):
            await fleet.ended(jobs[-1])
    assert await redis.exists(*(f"bull:{QUEUE}:{job_id}" for job_id in jobs[:2])) == 0
    completed, failed = await fleet.job(jobs[0]), await fleet.job(jobs[1])
    assert (completed.status.state, completed.result) == (JobState.COMPLETED, {"text": "A", "ratio": 1.0})
    assert failed.status.state is JobState.FAILED
    assert str(failed.status.error) == "permanent: it is broken"
    assert failed.status.kind == RUN.kind
