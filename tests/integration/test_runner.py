"""A job while it runs and after: cancelled, reported on, begun on time, kept for as long as set."""

import asyncio
from functools import partial
from typing import Any

from producers.pipelining import PipeliningRedis
from schemas.errors import Cancelled
from schemas.job_status import JobState, Progress
from tests.support.fleet import QUEUE, Fleet, Seen, Trial, Verdict, entry, hang, spec, succeed
from tests.support.until import until
from worker.ports import JobContext

# How many keys the script has that ends a job.
FINISH_KEYS = 14


async def test_a_job_cancelled_while_it_waits_never_begins(fleet: Fleet) -> None:
    """The worker that takes it ends it without running it."""
    handle = Seen()
    job_id = await fleet.add(spec(), Trial())
    await fleet.engine.request_cancel(job_id)
    async with fleet.worker(entry(handle)):
        job = await fleet.ended(job_id)
    assert job.status.state is JobState.CANCELLED
    assert handle.runs == []


async def test_a_job_cancelled_while_it_runs_ends_within_a_second(fleet: Fleet) -> None:
    """From the request to the final state, and the handler has been stopped."""
    handle = Seen([hang])
    job_id = await fleet.add(spec(), Trial())
    async with fleet.worker(entry(handle)):
        await until(lambda: bool(handle.runs))
        await fleet.engine.request_cancel(job_id)
        job = await fleet.ended(job_id, within_s=1)
    assert job.status.state is JobState.CANCELLED
    assert job.status.error is not None
    assert job.status.error.code == Cancelled.code


async def test_progress_and_log_are_written_through(fleet: Fleet) -> None:
    """What the handler reports is readable while it runs, and the last report is never lost."""
    going = asyncio.Event()

    async def handle(_payload: Trial, job: JobContext) -> Verdict:
        await job.progress(Progress(done=1, total=3))
        await job.log("begun")
        await going.wait()
        await job.progress(Progress(done=2, total=3))
        await job.progress(Progress(done=3, total=3))
        return Verdict()

    job_id = await fleet.add(spec(), Trial())
    async with fleet.worker(entry(handle)):
        await until(lambda: reported(fleet, job_id, 1))
        going.set()
        job = await fleet.ended(job_id)
    assert job.status.progress == Progress(done=3, total=3)
    assert await fleet.engine.logs(job_id) == ["begun"]


async def test_a_delayed_job_is_taken_on_time(fleet: Fleet) -> None:
    """It begins within 150 ms of its time, for the blocking read counts in milliseconds."""
    handle = Seen()
    async with fleet.worker(entry(handle)):
        await fleet.ended(await fleet.add_raw({}))
        for _ in range(3):
            job_id = await fleet.add_raw({}, delay=300)
            job = await fleet.ended(job_id)
            assert job.status.started_at is not None
            late_s = (job.status.started_at - job.status.added_at).total_seconds() - 0.3
            assert -0.02 < late_s < 0.15


async def test_ended_jobs_are_kept_for_the_time_set_whoever_added_them(fleet: Fleet) -> None:
    """A raw job without options gets the operator's retention, so that nothing stays for ever."""
    good, bad = await fleet.add_raw({}), await fleet.add_raw({"text": 1})
    async with fleet.worker(entry(succeed)):
        await fleet.ended(good)
        await fleet.ended(bad)
        # The engine removes by age when the next job ends: make those look old.
        for state, job_id in (("completed", good), ("failed", bad)):
            await fleet.redis.zadd(f"bull:{QUEUE}:{state}", {job_id.removeprefix(f"{QUEUE}_"): 1})
        for data in ({}, {"text": 1}):
            await fleet.ended(await fleet.add_raw(data))
        assert await fleet.engine.read(good) is None
        assert await fleet.engine.read(bad) is None


async def test_a_raw_job_may_ask_to_be_removed_at_its_end(fleet: Fleet) -> None:
    """An option that the job brings along is the job's own."""
    job_id = await fleet.add_raw({}, removeOnComplete=True)
    async with fleet.worker(entry(succeed)):
        await until(lambda: gone(fleet, job_id))


async def reported(fleet: Fleet, job_id: str, done: int) -> bool:
    """Tell whether the job has come that far."""
    progress = (await fleet.job(job_id)).status.progress
    return progress is not None and progress.done == done


async def gone(fleet: Fleet, job_id: str) -> bool:
    """Tell whether the engine no longer has the job."""
    return await fleet.engine.read(job_id) is None


class DeafClient(PipeliningRedis):
    """A client that hears nothing of how the call ended that finishes a job and takes the next."""

    async def execute_command(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - as the client
        """Send it as ever, and wait for ever."""
        reply = await super().execute_command(*args, **options)
        if args[0] == "EVALSHA" and args[2] == FINISH_KEYS:
            await asyncio.Event().wait()
        return reply


async def test_a_job_that_was_taken_as_the_worker_stopped_is_handed_back(fleet: Fleet) -> None:
    """By the call that ended the one before, whose answer nobody heard: no worker need wait for its lock to run out."""
    first, second = await fleet.add(spec(), Trial()), await fleet.add(spec(), Trial())
    deaf = partial(DeafClient.from_url, fleet.url, decode_responses=True, socket_timeout=15)
    async with fleet.worker(entry(succeed), client=deaf, concurrency=1, lock_s=600):
        await until(lambda: state(fleet, second, JobState.ACTIVE))
    assert await state(fleet, first, JobState.COMPLETED)
    assert not await fleet.redis.exists(f"bull:{QUEUE}:{second}:lock")
    async with fleet.worker(entry(succeed)):
        assert (await fleet.ended(second)).status.state is JobState.COMPLETED
    assert (await fleet.raw(second))["atm"] == "1"
    assert "stc" not in await fleet.raw(second)


async def state(fleet: Fleet, job_id: str, expected: JobState) -> bool:
    """Tell whether a job is in that state."""
    return (await fleet.job(job_id)).status.state is expected
