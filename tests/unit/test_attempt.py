"""One attempt, walked through on every path, without an engine."""

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import BaseModel
from structlog.testing import capture_logs

from schemas.errors import ChildrenPending, JobStalled, Permanent, Retryable
from schemas.job_status import Progress
from schemas.outcome import Cancelled, Completed, DeadLettered, Outcome, Retrying, Waiting
from tests.support.fleet import QUEUE, Handle, Trial, Verdict, entry, raising, spec, succeed
from worker.attempt import RESULT_LIMIT_BYTES, Attempt
from worker.context import Cancellation, Delivery
from worker.metrics import WorkerMetrics
from worker.ports import JobContext, JobReader
from worker.registry import Registry

SECRET = "whsec_c2VjcmV0"
PAYLOAD = "the payload of somebody"


@dataclass
class Engine:
    """The engine's side of a delivery: remembers what was written."""

    progress: list[Progress] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    async def set_progress(self, progress: Progress) -> None:
        """Remember progress."""
        self.progress.append(progress)

    async def append_log(self, line: str) -> None:
        """Remember a line."""
        self.lines.append(line)


def delivery(engine: Engine | None = None, **changes: Any) -> Delivery:  # noqa: ANN401 - fields of the delivery
    """A job as the engine hands it over."""
    engine = engine or Engine()
    given = {
        "id": "trials_1",
        "queue": QUEUE,
        "name": "run",
        "data": {"text": PAYLOAD, "_corral": {"tenant": "acme"}},
        "number": 1,
        "limit": 3,
        "waited_s": 0.5,
        "set_progress": engine.set_progress,
        "append_log": engine.append_log,
    }
    return Delivery(**{**given, **changes})


def attempt(handle: Handle, **changes: Any) -> Attempt:  # noqa: ANN401 - fields of the spec
    """An attempt whose only kind is done by ``handle``."""
    registry = Registry([entry(handle, spec(**changes))])
    return Attempt(registry, {}, WorkerMetrics(registry), random.Random(1))  # noqa: S311 - jitter


async def ended(made: Attempt, given: Delivery) -> tuple[Outcome, dict[str, Any]]:
    """Make the attempt; give its outcome and its one canonical line."""
    with capture_logs() as logs:
        outcome = await made(given)
    (line,) = [line for line in logs if line["event"] == "attempt.ended"]
    assert PAYLOAD not in str(logs)
    assert SECRET not in str(logs)
    return outcome, dict(line)


async def test_a_completed_attempt_leaves_one_line() -> None:
    """Its fields are these and no others: no payload, no result."""
    outcome, line = await ended(attempt(succeed), delivery())
    assert outcome == Completed.of(Verdict(text=PAYLOAD.upper()))
    assert line.pop("run_s") >= 0
    assert line == {
        "event": "attempt.ended",
        "log_level": "info",
        "job_id": "trials_1",
        "kind": "trials.run",
        "tenant": "acme",
        "outcome": "completed",
        "attempt": 1,
        "waited_s": 0.5,
    }


async def test_a_failed_attempt_says_why_and_when_the_next_one_is() -> None:
    """Code, public reason and delay are on the line."""
    outcome, line = await ended(attempt(raising(Retryable("not now", retry_after_s=7))), delivery(waited_s=None))
    assert isinstance(outcome, Retrying)
    assert (line["outcome"], line["code"], line["reason"]) == ("retrying", "retryable", "not now")
    assert line["delay_s"] == 7
    assert line["waited_s"] is None


async def test_the_last_attempt_dead_letters() -> None:
    """The number of attempts is the job's own; the name of the outcome is stable."""
    outcome, line = await ended(attempt(raising(Retryable("never"))), delivery(number=3))
    assert isinstance(outcome, DeadLettered)
    assert line["outcome"] == "dead_lettered"


async def test_an_unforeseen_error_is_shown_to_the_operator_alone() -> None:
    """Its trace is in one line of the log, by job id; the public reason has its class only."""
    with capture_logs() as logs:
        outcome = await attempt(raising(KeyError("x")))(delivery())
    (trace,) = [line for line in logs if line["event"] == "handler.failed"]
    assert isinstance(trace["exc_info"], KeyError)
    assert (trace["job_id"], trace["log_level"]) == ("trials_1", "error")
    assert isinstance(outcome, Retrying)
    assert outcome.error.code == "handler_failed"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"name": "missing"}, "unknown_kind"),
        ({"data": None}, "payload_invalid"),
        ({"data": {"text": 1}}, "payload_invalid"),
        ({"data": {"_corral": {"version": 2}}}, "envelope_unreadable"),
        ({"failed": JobStalled("it died each time")}, "job_stalled"),
    ],
)
async def test_a_job_that_cannot_be_done_is_not_begun(changes: dict[str, Any], code: str) -> None:
    """It is dead-lettered with a code, and no handler runs."""

    async def never(_payload: Trial, _job: JobContext) -> Verdict:
        raise SystemExit

    outcome, line = await ended(attempt(never), delivery(**changes))
    assert isinstance(outcome, DeadLettered)
    assert line["code"] == code


async def test_only_the_payload_can_be_invalid() -> None:
    """A handler that stumbles over its own models has a bug; its caller did nothing wrong."""

    async def clumsy(_payload: Trial, _job: JobContext) -> Verdict:
        return Verdict.model_validate({"text": []})

    outcome, _ = await ended(attempt(clumsy), delivery())
    assert isinstance(outcome, Retrying)
    assert outcome.error.code == "handler_failed"


async def test_a_time_limit_of_the_kind_is_final_and_any_other_is_not() -> None:
    """A handler's own time-out, of some network, is worth another attempt."""

    async def hang(_payload: Trial, _job: JobContext) -> Verdict:
        await asyncio.Event().wait()
        return Verdict()

    outcome, _ = await ended(attempt(hang, timeout_s=0.01), delivery())
    assert isinstance(outcome, DeadLettered)
    assert outcome.error.code == "job_timed_out"
    outcome, _ = await ended(attempt(raising(TimeoutError())), delivery())
    assert isinstance(outcome, Retrying)


@pytest.mark.parametrize("character", ["a", "é"])
async def test_a_result_must_fit_into_the_queue(character: str) -> None:
    """The limit counts bytes; a result at the limit passes."""
    frame_bytes = len(Verdict().model_dump_json())
    room = (RESULT_LIMIT_BYTES - frame_bytes) // len(character.encode())

    async def talk(payload: Trial, _job: JobContext) -> Verdict:
        return Verdict(text=character * payload.number)

    fits, _ = await ended(attempt(talk), delivery(data={"number": room}))
    assert isinstance(fits, Completed)
    outcome, _ = await ended(attempt(talk), delivery(data={"number": room + 1}))
    assert isinstance(outcome, DeadLettered)
    assert outcome.error.code == "result_too_large"


async def test_an_attempt_that_was_cancelled_before_does_not_begin() -> None:
    """The wish was there when the job was taken."""
    outcome, line = await ended(attempt(raising(SystemExit())), delivery(cancellation=Cancellation(requested=True)))
    assert isinstance(outcome, Cancelled)
    assert (line["outcome"], line["code"]) == ("cancelled", "job_cancelled")


async def test_a_stopping_workers_attempt_says_nothing() -> None:
    """The cancel goes on to the runner, and no line claims an end that did not come."""
    begun = asyncio.Event()

    async def hang(_payload: Trial, _job: JobContext) -> Verdict:
        begun.set()
        await asyncio.Event().wait()
        return Verdict()

    with capture_logs() as logs:
        task = asyncio.create_task(attempt(hang)(delivery()))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert logs == []


async def test_attempts_are_counted_by_kind_outcome_and_code() -> None:
    """A name that nobody knows is counted as `unknown`; where the wait is unknown, none is observed."""
    made = attempt(raising(Permanent("no")))
    for changes in ({"waited_s": None}, {}, {"name": "x" * 1_000, "waited_s": None}):
        await made(delivery(**changes))
    sample = made.metrics.registry.get_sample_value
    labels = {"kind": "trials.run", "outcome": "dead_lettered", "code": "permanent"}
    assert sample("corral_attempts_total", labels) == 2
    assert sample("corral_attempts_total", labels | {"kind": "unknown", "code": "unknown_kind"}) == 1
    assert sample("corral_wait_seconds_count", {"kind": "trials.run"}) == 1
    assert sample("corral_attempt_seconds_count", {"kind": "trials.run"}) == 2


async def test_the_wait_of_corrals_own_jobs_is_not_known() -> None:
    """As parents of flows they lie there until another job has ended: that is no wait in a queue."""
    _, line = await ended(attempt(succeed, internal=True), delivery())
    assert line["waited_s"] is None


async def test_a_handler_reaches_the_ports_it_names_and_no_other() -> None:
    """What the module does not name is not there, though the worker has it."""
    reader, found = object(), []

    async def use(_payload: Trial, job: JobContext) -> BaseModel:
        found.append(job.use(JobReader))
        with pytest.raises(KeyError):
            job.use(Attempt)
        return Verdict()

    registry = Registry([entry(use, spec(), JobReader)])
    made = Attempt(registry, {JobReader: reader, Attempt: object()}, WorkerMetrics(registry), random.Random(1))  # noqa: S311 - jitter
    outcome, _ = await ended(made, delivery())
    assert isinstance(outcome, Completed)
    assert found == [reader]


async def test_an_attempt_that_waits_for_its_children_is_no_failure() -> None:
    """It has no code and no reason, and no other attempt is counted for it."""
    outcome, line = await ended(attempt(raising(ChildrenPending("two to do"))), delivery())
    assert outcome == Waiting()
    assert line["outcome"] == "waiting"
    assert line.keys() & {"code", "reason", "delay_s"} == set()
