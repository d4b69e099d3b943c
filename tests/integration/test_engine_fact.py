"""Facts about the engine's package that Corral works around or leans on; its next release may change them."""

import asyncio
import time

import pytest
from bullmq import Queue

from corral.stack import free_port
from producers import connection
from producers.engine.jobs import Engine, NewJob
from schemas import job_id as ids
from schemas.envelope import Envelope
from schemas.errors import EngineUnavailable
from schemas.job_status import JobState
from tests.support.fleet import QUEUE, Fleet, Seen, Trial, entry, spec
from tests.support.until import until
from worker.consumer import BLOCK_S


@pytest.mark.timeout(120)
async def test_the_first_job_after_a_minute_of_idling_is_taken_at_once(fleet: Fleet) -> None:
    """Within 100 ms, though nothing came for 60 s: the blocking read has not fallen asleep (fact 1)."""
    handle = Seen()
    async with fleet.worker(entry(handle)):
        await fleet.ended(await fleet.add_raw({}))
        idle_until = time.monotonic() + 60
        await until(lambda: time.monotonic() > idle_until, within_s=61)
        added = time.monotonic()
        job_id = await fleet.add_raw({})
        await until(lambda: len(handle.runs) == 2)
        assert time.monotonic() - added < 0.1
        await fleet.ended(job_id)


def test_a_blocking_read_never_times_out_on_our_side() -> None:
    """The socket's limit lies 10 s above the longest block (fact 1)."""
    client = connection.patient("redis://127.0.0.1:1", block_s=BLOCK_S)
    assert client.connection_pool.connection_kwargs["socket_timeout"] >= BLOCK_S + 10


async def test_adding_fails_at_once_when_nobody_answers() -> None:
    """A producer hears of it within half a second, not after minutes of retries (fact 3)."""
    begun = time.monotonic()
    async with connection.fail_fast(f"redis://127.0.0.1:{free_port()}") as client:
        engine = Engine(client, prefix="bull", keep_finished_s=3600)
        with pytest.raises(EngineUnavailable):
            await engine.add(NewJob(ids.new(QUEUE), spec(), {}))
    assert time.monotonic() - begun < 0.5


async def test_a_finished_job_is_not_run_again_when_it_is_added_again(fleet: Fleet) -> None:
    """Its id is kept, and as long as it is, the same request means the same run (fact 7)."""
    handle = Seen()
    job = NewJob(ids.new(QUEUE), spec(), Envelope().wrap(Trial()))
    async with fleet.worker(entry(handle)):
        await fleet.engine.add(job)
        await fleet.ended(job.id)
        await fleet.engine.add(job)
        await fleet.ended(await fleet.add_raw({}))
    assert [run.id for run in handle.runs].count(job.id) == 1


async def test_a_stall_uses_up_no_attempt(fleet: Fleet) -> None:
    """A worker that dies under a job costs it a crash, not a try (fact 11)."""
    handle = Seen()
    job_id = await fleet.add_raw({})
    dead = Queue(QUEUE, {"connection": fleet.redis})
    await dead.backend.moveToActive("of the dead", {"lockDuration": 100})
    async with fleet.worker(entry(handle)):
        job = await fleet.ended(job_id)
    assert job.status.state is JobState.COMPLETED
    assert handle.runs[0].attempt == 1
    assert (await fleet.raw(job_id))["stc"] == "1"


async def test_the_package_still_swallows_a_cancel_that_comes_after_stop(fleet: Fleet) -> None:
    """Why the runner fetches in a task of its own; when this fails, that may go."""
    async with fleet.worker(entry(Seen())) as runner:
        package = runner._consumer._worker
        await until(lambda: package.waiting is not None)
        waiting = package.waiting
        runner.stop()
        await asyncio.wait([waiting])
        assert waiting.cancelled()
