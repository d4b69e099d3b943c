"""The worker on a real Valkey: how each way of ending reaches the engine, and what may go wrong."""

import asyncio
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from bullmq import Queue
from bullmq.custom_errors import DelayedError, UnrecoverableError

from schemas.errors import Cancelled, Permanent, RateLimited, Retryable
from schemas.job_spec import RetryPolicy, RetrySchedule
from schemas.job_status import JobState, Progress
from tests.support.fleet import LOCK_S, QUEUE, Fleet, Seen, Trial, Verdict, entry, spec, succeed
from tests.support.until import until
from worker.ports import JobContext

SECRET = "the-payload-of-somebody"


def raising(error: BaseException) -> Callable[[Any, JobContext], Any]:
    """Make a handler that raises."""

    async def fail(_payload: Trial, _job: JobContext) -> Verdict:
        raise error

    return fail


async def hang(_payload: Trial, _job: JobContext) -> Verdict:
    """Never end by itself."""
    await asyncio.Event().wait()
    return Verdict()


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


async def delayed(fleet: Fleet, job_id: str) -> dict[str, str] | None:
    """Give the job's hash while it waits for its next attempt."""
    raw = await fleet.raw(job_id)
    return raw if raw.get("delay", "0") != "0" else None


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


@pytest.mark.parametrize("attempts", ["3", -1, None, {}, 0])
async def test_a_limit_that_is_none_means_one_attempt(fleet: Fleet, attempts: object) -> None:
    """Whoever adds a job may write anything there; it harms that job alone."""
    job_id = await fleet.add_raw({})
    key = f"bull:{QUEUE}:{job_id.removeprefix(QUEUE + '_')}"
    await fleet.redis.hset(key, "opts", json.dumps({"attempts": attempts}))
    async with fleet.worker(entry(raising(Retryable("never")))):
        assert (await fleet.ended(job_id)).status.attempts == 1


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
    ("name", "data", "code"),
    [
        ("missing", {}, "unknown_kind"),
        ("run", {"text": 1}, "payload_invalid"),
        ("run", {"unknown": 1}, "payload_invalid"),
        ("run", [1, 2], "payload_invalid"),
        ("run", "text", "payload_invalid"),
        ("run", {"_corral": {"version": 9}}, "payload_invalid"),
        ("run", {"_corral": "none"}, "payload_invalid"),
    ],
)
async def test_a_job_that_cannot_be_understood_fails_at_once(fleet: Fleet, name: str, data: object, code: str) -> None:
    """Its owner is told what is wrong with it; no attempt follows."""
    job_id = await fleet.add_raw(data, name=name, attempts=5)
    async with fleet.worker(entry(succeed)):
        job = await fleet.ended(job_id)
    assert job.status.error is not None
    assert (job.status.error.code, job.status.attempts) == (code, 1)


@pytest.mark.parametrize(
    ("field", "text"), [("data", "{"), ("opts", "[1]"), ("data", "[" * 100_000), ("timestamp", "x")]
)
async def test_a_job_that_is_no_json_harms_only_itself(fleet: Fleet, field: str, text: str) -> None:
    """It fails, and the queue is read on: no library writes such a job, but anybody can."""
    job_id = await fleet.add_raw({})
    await fleet.redis.hset(f"bull:{QUEUE}:{job_id.removeprefix(QUEUE + '_')}", field, text)
    good = await fleet.add_raw({"text": "a"})
    async with fleet.worker(entry(succeed)):
        assert (await fleet.ended(good)).status.state is JobState.COMPLETED
        raw = await until(lambda: failed(fleet, job_id))
    assert raw["failedReason"].startswith("payload_invalid: ")


async def failed(fleet: Fleet, job_id: str) -> dict[str, str] | None:
    """Give the job's hash once it has a reason of failure."""
    raw = await fleet.raw(job_id)
    return raw if "failedReason" in raw else None


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


async def reported(fleet: Fleet, job_id: str, done: int) -> bool:
    """Tell whether the job has come that far."""
    progress = (await fleet.job(job_id)).status.progress
    return progress is not None and progress.done == done


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


async def gone(fleet: Fleet, job_id: str) -> bool:
    """Tell whether the engine no longer has the job."""
    return await fleet.engine.read(job_id) is None


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
