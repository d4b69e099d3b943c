"""A job's three limits of time, on an attempt without an engine: each ends it with a code of its own."""

import random
import time
from typing import Any

import pytest
from structlog.testing import capture_logs

from schemas.job_status import Progress
from schemas.outcome import Completed, DeadLettered, Outcome, Retrying
from tests.support.fleet import QUEUE, Handle, Trial, Verdict, entry, hang, spec
from tests.support.until import until
from worker.attempt import Attempt
from worker.context import Delivery
from worker.metrics import WorkerMetrics
from worker.ports import JobContext
from worker.registry import Registry


async def nothing(_: object) -> None:
    """Take what would be written to the engine."""


def attempt(handle: Handle, **changes: Any) -> Attempt:  # noqa: ANN401 - fields of the spec
    """An attempt whose only kind is done by ``handle``."""
    registry = Registry([entry(handle, spec(**changes))])
    return Attempt(registry, {}, WorkerMetrics(registry), random.Random(7))  # noqa: S311 - jitter


def delivery(**changes: Any) -> Delivery:  # noqa: ANN401 - fields of the delivery
    """A job as the engine hands it over: it waited for half a second."""
    given = {"id": "trials_1", "queue": QUEUE, "name": "run", "data": {}, "number": 1, "limit": 3, "waited_s": 0.5}
    return Delivery(**{**given, "set_progress": nothing, "append_log": nothing, **changes})


async def ended(made: Attempt, delivered: Delivery) -> tuple[Outcome, str]:
    """Make an attempt and give its outcome with the code in its line, which is the metric's label too."""
    with capture_logs() as logs:
        outcome = await made(delivered)
    (line,) = [line for line in logs if line["event"] == "attempt.ended"]
    labels = {"kind": "trials.run", "outcome": outcome.name, "code": line.get("code", "")}
    assert made.metrics.registry.get_sample_value("corral_attempts_total", labels) == 1
    return outcome, labels["code"]


LIMITED = {"_corral": {"limits": {"wait_s": 0.4, "run_s": 0.01, "heartbeat_s": 0.01}}}


@pytest.mark.parametrize(
    ("allowed", "changes", "code"),
    [
        ({"wait_s": 0.4}, {}, "job_expired"),
        ({"wait_s": 60.0}, {"data": LIMITED}, "job_expired"),
        ({"wait_s": 0.4}, {"waited_s": None, "number": 3}, "job_timed_out"),
        ({"heartbeat_s": 0.01, "timeout_s": 60.0}, {"number": 3}, "job_heartbeat_lost"),
        (
            {"timeout_s": 60.0},
            {"data": {"_corral": {"limits": {"heartbeat_s": 0.01}}}, "number": 3},
            "job_heartbeat_lost",
        ),
        ({"timeout_s": 60.0}, {"data": {"_corral": {"limits": {"run_s": 0.01}}}}, "job_timed_out"),
        ({}, {"data": {"_corral": {"limits": {"run_s": 3600.0}}}}, "job_timed_out"),
    ],
)
async def test_each_time_limit_has_a_code_of_its_own(
    allowed: dict[str, Any], changes: dict[str, Any], code: str
) -> None:
    """Wait, run and heartbeat, of the kind or of the job; a job never gets more than its kind allows."""
    outcome, code_seen = await ended(attempt(hang, **{"timeout_s": 0.05, **allowed}), delivery(**changes))
    assert isinstance(outcome, DeadLettered)
    assert code_seen == code


async def test_a_lost_heartbeat_is_worth_another_attempt() -> None:
    """A hang may be of one machine; a job that hangs each time has its attempts like any other."""
    outcome, _ = await ended(attempt(hang, heartbeat_s=0.01), delivery())
    assert isinstance(outcome, Retrying)


async def test_every_sign_of_life_counts() -> None:
    """Progress, also when it is held back, a line of the log and a plain heartbeat each begin the limit anew."""

    async def live(_payload: Trial, job: JobContext) -> Verdict:
        for _ in range(3):
            await later()
            job.heartbeat()
            await later()
            await job.progress(Progress(done=1, total=2))
            await later()
            await job.log("still here")
        return Verdict()

    async def later() -> None:
        due = time.monotonic() + 0.1
        await until(lambda: time.monotonic() > due)

    outcome, _ = await ended(attempt(live, heartbeat_s=0.4), delivery())
    assert isinstance(outcome, Completed)


@pytest.mark.parametrize("heartbeat_s", [5.0, None])
async def test_a_sign_of_life_after_the_end_is_nothing(heartbeat_s: float | None) -> None:
    """A task that a handler has left behind may still speak; so may a handler that nobody listens to."""
    kept: list[JobContext] = []

    async def leave(_payload: Trial, job: JobContext) -> Verdict:
        job.heartbeat()
        kept.append(job)
        return Verdict()

    outcome, _ = await ended(attempt(leave, heartbeat_s=heartbeat_s), delivery())
    kept[0].heartbeat()
    assert isinstance(outcome, Completed)
