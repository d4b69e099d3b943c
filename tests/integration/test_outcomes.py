"""How each way of ending an attempt reaches the engine and whoever reads the job there."""

import asyncio
from functools import partial

import pytest
from bullmq.custom_errors import DelayedError, UnrecoverableError

from schemas.errors import Permanent, RateLimited, Retryable
from schemas.job_spec import RetryPolicy, RetrySchedule
from schemas.job_status import JobState
from tests.support.fleet import QUEUE, Fleet, Seen, Trial, Verdict, entry, hang, raising, spec, succeed
from tests.support.until import until
from worker.ports import JobContext

SECRET = "the-payload-of-somebody"


async def test_a_result_is_stored_as_json_and_the_job_is_completed(fleet: Fleet) -> None:
    """What the handler returns is what every reader of the job gets, numbers that JSON lacks as null."""

    async def handle(payload: Trial, _job: JobContext) -> Verdict:
        return Verdict(text=payload.text, ratio=float("nan"))

    job_id = await fleet.add(spec(), Trial(text="é"))
    async with fleet.worker(entry(handle)):
        job = await fleet.ended(job_id)
    assert job.status.state is JobState.COMPLETED
    assert job.result == {"text": "é", "ratio": None}
    assert job.status.attempts == 1


@pytest.mark.parametrize("name", ["run", "trials.run"])
async def test_a_job_that_plain_bullmq_added_is_run(fleet: Fleet, name: str) -> None:
    """A program without Corral names the verb or the kind and gives the payload as it is."""
    job_id = await fleet.add_raw({"text": "a"}, name=name)
    async with fleet.worker(entry(succeed)):
        assert (await fleet.ended(job_id)).result["text"] == "A"


async def test_a_failed_attempt_is_made_again_after_our_delay(fleet: Fleet) -> None:
    """The wait is the policy's, whatever back-off the job was added with; then the job is completed."""
    handle = Seen([raising(Retryable("not now")), succeed])
    waits = spec(retry=RetrySchedule((0.4,), jitter=0))
    job_id = await fleet.add_raw({}, attempts=3, backoff={"type": "fixed", "delay": 60_000})
    async with fleet.worker(entry(handle, waits)):
        await until(lambda: bool(handle.runs))
        raw = await until(lambda: delayed(fleet, job_id))
        assert raw["delay"] == "400"
        assert raw["failedReason"] == "retryable: not now"
        job = await fleet.ended(job_id)
    assert job.status.state is JobState.COMPLETED
    assert [run.attempt for run in handle.runs] == [1, 2]


async def test_waits_are_spread(fleet: Fleet) -> None:
    """Twenty jobs that fail together do not come back together."""
    jobs = [await fleet.add_raw({}, attempts=2) for _ in range(20)]
    policy = spec(retry=RetryPolicy(attempts=2, base_s=600))
    async with fleet.worker(entry(raising(Retryable("not now")), policy)):
        raws = [await until(partial(delayed, fleet, job_id)) for job_id in jobs]
    waits = {int(raw["delay"]) for raw in raws}
    assert len(waits) > 15
    assert max(waits) <= 600_000


async def test_a_wait_that_was_asked_for_is_kept(fleet: Fleet) -> None:
    """Jitter never undercuts what the other side said."""
    job_id = await fleet.add(spec(), Trial())
    async with fleet.worker(entry(raising(RateLimited("slowly", retry_after_s=90)))):
        raw = await until(lambda: delayed(fleet, job_id))
    assert int(raw["delay"]) >= 90_000


async def test_the_limit_on_attempts_is_the_jobs_own(fleet: Fleet) -> None:
    """A job that was added without attempts has one; with three it has three, whatever the spec says today."""
    handle = Seen([raising(Retryable("never"))])
    once, thrice = await fleet.add_raw({}), await fleet.add_raw({}, attempts=3)
    async with fleet.worker(entry(handle, spec(retry=RetryPolicy(attempts=9, base_s=0.01)))):
        first, second = await fleet.ended(once), await fleet.ended(thrice)
    assert (first.status.attempts, second.status.attempts) == (1, 3)
    assert {first.status.state, second.status.state} == {JobState.FAILED}


async def test_a_permanent_error_is_not_tried_again(fleet: Fleet) -> None:
    """The owner sees its code and its public message at once."""
    job_id = await fleet.add(spec(), Trial())
    async with fleet.worker(entry(raising(Permanent("it is broken")))):
        job = await fleet.ended(job_id)
    assert job.status.state is JobState.FAILED
    assert job.status.attempts == 1
    assert str(job.status.error) == "permanent: it is broken"


async def test_nothing_of_an_unforeseen_error_reaches_the_server(fleet: Fleet) -> None:
    """Neither its text nor its trace is in the job or in the events; its class is (fact 12)."""
    job_id = await fleet.add(spec(retry=RetryPolicy(attempts=2, base_s=0.01)), Trial())
    async with fleet.worker(entry(raising(ZeroDivisionError(SECRET)))):
        job = await fleet.ended(job_id)
    assert job.status.error is not None
    assert job.status.error.code == "handler_failed"
    stored = [str(await fleet.raw(job_id)), str(await fleet.redis.xrange(f"bull:{QUEUE}:events"))]
    for text in stored:
        assert SECRET not in text
        assert "Traceback" not in text
    assert "ZeroDivisionError" in stored[0]


@pytest.mark.parametrize(
    "error", [asyncio.CancelledError(), DelayedError(), UnrecoverableError("x"), TypeError("x"), TimeoutError("x")]
)
async def test_no_error_of_a_handler_ends_the_worker(fleet: Fleet, error: BaseException) -> None:
    """A leaked cancel, or an error that means something to the engine, ends that attempt alone (fact 21)."""
    handle = Seen([raising(error), succeed])
    first, second = await fleet.add(spec(), Trial()), await fleet.add(spec(), Trial())
    async with fleet.worker(entry(handle), concurrency=1):
        for job_id in (first, second):
            assert (await fleet.ended(job_id)).status.state is JobState.COMPLETED
    assert len(handle.runs) == 3


async def test_a_handler_that_takes_too_long_is_ended(fleet: Fleet) -> None:
    """The job fails with a code of its own, for good."""
    job_id = await fleet.add(spec(timeout_s=0.2), Trial())
    async with fleet.worker(entry(hang, spec(timeout_s=0.2))):
        job = await fleet.ended(job_id)
    assert job.status.error is not None
    assert job.status.error.code == "job_timed_out"


async def delayed(fleet: Fleet, job_id: str) -> dict[str, str] | None:
    """Give the job's hash while it waits for its next attempt."""
    raw = await fleet.raw(job_id)
    return raw if raw.get("delay", "0") != "0" else None
