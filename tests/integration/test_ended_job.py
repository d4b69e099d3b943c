"""A job that has ended is read in one look; of any other that look says nothing."""

import pytest

from producers.engine.ended_job import ended_job
from schemas.errors import Retryable
from schemas.job_status import JobState
from tests.support.callback_sender import job_reader
from tests.support.fleet import QUEUE, Fleet, Trial, entry, raising, spec, succeed


@pytest.mark.parametrize("fails", [False, True])
async def test_a_job_that_has_ended_is_read_as_the_api_reads_it(fleet: Fleet, fails: bool) -> None:  # noqa: FBT001 - a case
    """Completed or failed, with result or error."""
    job_id = await fleet.add(spec(), Trial())
    async with fleet.worker(entry(raising(Retryable("never")) if fails else succeed)):
        await fleet.ended(job_id)
    found = await ended_job(fleet.redis, "bull", job_id)
    assert found == await fleet.job(job_id)
    assert found is not None
    assert found.status.state is (JobState.FAILED if fails else JobState.COMPLETED)
    await fleet.redis.hdel(f"bull:{QUEUE}:{job_id}", "finishedOn", "returnvalue", "failedReason")
    assert await ended_job(fleet.redis, "bull", job_id) is None, "it is run again"


@pytest.mark.parametrize("job_id", ["", "nothing", f"{QUEUE}_none", "trials:wait_1", f"{QUEUE}_17"])
async def test_what_has_not_ended_is_left_to_a_longer_look(fleet: Fleet, job_id: str) -> None:
    """It is not there, it is no job, or its id is the engine's own."""
    await fleet.add(spec(), Trial())
    assert await ended_job(fleet.redis, "bull", job_id) is None
    assert await job_reader(fleet).read(job_id) is None


async def test_an_id_may_name_a_list_of_the_queue(fleet: Fleet) -> None:
    """It is no job then, and no error."""
    await fleet.redis.rpush(f"bull:{QUEUE}:{QUEUE}_list", "x")
    assert await ended_job(fleet.redis, "bull", f"{QUEUE}_list") is None
    await fleet.redis.delete(f"bull:{QUEUE}:{QUEUE}_list")
