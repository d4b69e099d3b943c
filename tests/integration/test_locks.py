"""One lock, one runner: who has the lock has the job, and nobody else says a word about it."""

import asyncio

from bullmq import Queue

from schemas.job_status import JobState
from tests.support.fleet import LOCK_S, QUEUE, Fleet, Seen, Trial, Verdict, entry, hang, spec, succeed
from tests.support.until import until
from worker.ports import JobContext


async def test_each_job_has_a_lock_token_of_its_own(fleet: Fleet) -> None:
    """Jobs taken at the same moment share none (fact 20): a token tells two runners apart."""
    handle = Seen([hang])
    jobs = [await fleet.add(spec(), Trial()) for _ in range(20)]
    async with fleet.worker(entry(handle)):
        await until(lambda: len(handle.runs) == 20)
        tokens = await fleet.redis.mget([f"bull:{QUEUE}:{job_id}:lock" for job_id in jobs])
        assert len(set(tokens)) == 20
        assert None not in tokens
        for job_id in jobs:
            await fleet.engine.request_cancel(job_id)
        for job_id in jobs:
            await fleet.ended(job_id)


async def test_a_lost_lock_ends_the_attempt_and_drops_its_result(fleet: Fleet) -> None:
    """When another runner has the job, ours is stopped and says nothing to the engine."""
    stopped = asyncio.Event()

    async def handle(_payload: Trial, _job: JobContext) -> Verdict:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return Verdict()

    job_id = await fleet.add(spec(), Trial())
    async with fleet.worker(entry(handle)):
        lock = f"bull:{QUEUE}:{job_id}:lock"
        await until(lambda: fleet.redis.exists(lock))
        await fleet.redis.set(lock, "another", px=600_000)
        async with asyncio.timeout(LOCK_S):
            await stopped.wait()
        assert (await fleet.job(job_id)).status.state is JobState.ACTIVE
        assert await fleet.redis.get(lock) == "another"


async def test_a_result_that_comes_after_the_lock_was_lost_is_dropped(fleet: Fleet) -> None:
    """Two runners, one truth: the one with the lock."""
    finish = asyncio.Event()

    async def handle(_payload: Trial, _job: JobContext) -> Verdict:
        await finish.wait()
        return Verdict(text="of the first runner")

    job_id = await fleet.add(spec(), Trial())
    async with fleet.worker(entry(handle), lock_s=60) as runner:
        lock = f"bull:{QUEUE}:{job_id}:lock"
        await until(lambda: fleet.redis.exists(lock))
        await fleet.redis.set(lock, "another", px=600_000)
        finish.set()
        await until(lambda: not runner._held)
        job = await fleet.job(job_id)
    assert job.status.state is JobState.ACTIVE
    assert job.result is None


async def test_the_job_of_a_dead_worker_runs_again(fleet: Fleet) -> None:
    """A lock that nobody renews frees its job within 1.5 times its length."""
    handle = Seen()
    job_id = await fleet.add(spec(), Trial())
    dead = Queue(QUEUE, {"connection": fleet.redis})
    await dead.backend.moveToActive("of the dead", {"lockDuration": round(LOCK_S * 1000)})
    async with fleet.worker(entry(handle)):
        job = await fleet.ended(job_id, within_s=1.5 * LOCK_S + 0.5)
    assert job.status.state is JobState.COMPLETED
    assert len(handle.runs) == 1


async def test_a_job_under_which_workers_die_is_given_up(fleet: Fleet) -> None:
    """After as many runs as the kind allows, apart from attempts (fact 11), with a code of its own."""
    kind, handle = spec(crashes=1), Seen()
    job_id = await fleet.add(kind, Trial())
    dead = Queue(QUEUE, {"connection": fleet.redis})
    await dead.backend.moveToActive("of the dead", {"lockDuration": 100})
    async with fleet.worker(entry(handle, kind)):
        job = await fleet.ended(job_id)
    assert job.status.error is not None
    assert job.status.error.code == "job_stalled"
    assert handle.runs == []


async def test_a_stopped_worker_hands_back_what_it_does_not_finish(fleet: Fleet) -> None:
    """Another worker has the job at once, and neither an attempt nor a crash was counted."""
    first, second = Seen([hang]), Seen()
    job_id = await fleet.add(spec(), Trial())
    async with fleet.worker(entry(first), lock_s=60):
        await until(lambda: bool(first.runs))
    async with fleet.worker(entry(second), lock_s=60):
        job = await fleet.ended(job_id, within_s=2)
    assert job.status.state is JobState.COMPLETED
    assert second.runs[0].attempt == 1
    assert "stc" not in await fleet.raw(job_id)


async def test_locks_are_renewed_while_the_worker_stops(fleet: Fleet) -> None:
    """A job that takes longer than its lock after SIGTERM is still this worker's, and runs once."""
    finish = asyncio.Event()
    handle = Seen()

    async def slow(payload: Trial, job: JobContext) -> Verdict:
        await finish.wait()
        return await succeed(payload, job)

    handle.steps = [slow]
    job_id = await fleet.add(spec(), Trial())
    async with fleet.worker(entry(handle), lock_s=1) as leaving, fleet.worker(entry(Seen([slow])), lock_s=1):
        await until(lambda: bool(leaving._held) or fleet.redis.exists(f"bull:{QUEUE}:{job_id}:lock"))
        leaving.stop()
        lock = f"bull:{QUEUE}:{job_id}:lock"
        token = await fleet.redis.get(lock)
        deadline = asyncio.get_running_loop().time() + 2.5
        await until(lambda: asyncio.get_running_loop().time() > deadline)
        assert await fleet.redis.get(lock) == token
        finish.set()
        assert (await fleet.ended(job_id)).status.attempts == 1
