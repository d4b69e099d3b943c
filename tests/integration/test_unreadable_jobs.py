"""Jobs that nobody can read: whatever somebody wrote into a queue harms that job alone."""

import json

import pytest
from structlog.testing import capture_logs

from schemas.errors import Retryable
from schemas.job_status import JobState
from tests.support.fleet import QUEUE, Fleet, entry, raising, succeed
from tests.support.until import until


@pytest.mark.parametrize("attempts", ["3", -1, None, {}, 0])
async def test_a_limit_that_is_none_means_one_attempt(fleet: Fleet, attempts: object) -> None:
    """Whoever adds a job may write anything there; it harms that job alone."""
    job_id = await fleet.add_raw({})
    key = f"bull:{QUEUE}:{job_id.removeprefix(QUEUE + '_')}"
    await fleet.redis.hset(key, "opts", json.dumps({"attempts": attempts}))
    async with fleet.worker(entry(raising(Retryable("never")))):
        assert (await fleet.ended(job_id)).status.attempts == 1


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("missing", {}, "unknown_kind"),
        ("run", {"text": 1}, "payload_invalid"),
        ("run", {"unknown": 1}, "payload_invalid"),
        ("run", [1, 2], "payload_invalid"),
        ("run", "text", "payload_invalid"),
        ("run", {"_corral": {"version": 9}}, "envelope_unreadable"),
        ("run", {"_corral": "none"}, "envelope_unreadable"),
    ],
)
async def test_a_job_that_cannot_be_understood_fails_at_once(fleet: Fleet, name: str, data: object, code: str) -> None:
    """Its owner is told what is wrong with it; no attempt follows."""
    job_id = await fleet.add_raw(data, name=name, attempts=5)
    async with fleet.worker(entry(succeed)):
        job = await fleet.ended(job_id)
    assert job.status.error is not None
    assert (job.status.error.code, job.status.attempts) == (code, 1)


async def test_a_callback_that_nobody_can_read_is_told_to_the_operator(fleet: Fleet) -> None:
    """Whom to tell of the job's end is not known, so a line in the log names the job."""
    with capture_logs() as logs:
        async with fleet.worker(entry(succeed)):
            job_id = await fleet.add_raw({"_corral": {"callback": {"url": "http://localhost/"}, "tenat": "acme"}})
            await fleet.ended(job_id)
    (line,) = [one for one in logs if one["event"] == "callback.unreadable"]
    assert (line["job_id"], line["log_level"]) == (job_id, "error")
    assert "tenat" in line["reason"]


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
