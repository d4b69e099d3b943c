"""The soak's verdict finds every broken promise, and nothing where all was kept."""

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from corral.receiver import Received, Receiver
from producers.engine.notice import callback_id
from schemas.errors import JobError
from schemas.job_status import JobState, JobStatus
from tests.soak.engine_state import EngineState
from tests.soak.ledger import Ledger
from tests.soak.memory import Memory
from tests.soak.order import MIXTURE, Order
from tests.soak.trouble import Restart
from tests.soak.verdict import Evidence, completed_again, judge

SORTS = {sort.name: sort for sort in MIXTURE}
DONE, REFUSED, QUIET = "soak_01", "soak_02", "soak_03"
AT = 1_000.0


def order(sort: str, number: int = 7) -> Order:
    """Order a job of the mixture."""
    return Order(number, SORTS[sort], "north", 0.0, 1)


def callback(job_id: str, state: str, **changes: Any) -> Received:  # noqa: ANN401 - fields of the event's data
    """Make a callback as the receiver notes it."""
    given = {"webhook_id": callback_id(job_id), "verified": True, **changes.pop("told", {})}
    return Received(event={"type": f"job.{state}", "data": {"id": job_id, "state": state, **changes}}, at=AT, **given)


def status(job_id: str, state: JobState, code: str = "") -> JobStatus:
    """Make an answer of the API."""
    error = JobError(code=code, message="so it is") if code else None
    return JobStatus(id=job_id, kind="soak.echo", state=state, attempts=1, error=error, added_at=datetime.now(UTC))


def hear(ledger: Ledger, *callbacks: Received) -> None:
    """Have callbacks come."""
    ledger.listen(Receiver("", received=list(callbacks)))


@pytest.fixture
def ledger() -> Ledger:
    """Three jobs that were accepted and called back as they ended."""
    books = Ledger()
    for job_id, sort in ((DONE, "done at once"), (REFUSED, "refused"), (QUIET, "no callback")):
        books.accept(job_id, order(sort), AT)
    failed = {"error": {"code": "source_refused", "message": "no"}}
    hear(books, callback(DONE, "completed", result={"number": 7}), callback(REFUSED, "failed", **failed))
    return books


@pytest.fixture
def seen(ledger: Ledger) -> dict[str, Any]:
    """What is seen when every promise was kept."""
    return {
        "ledger": ledger,
        "engine": EngineState(Counter([DONE, REFUSED, QUIET]), {}),
        "statuses": {
            DONE: status(DONE, JobState.COMPLETED),
            REFUSED: status(REFUSED, JobState.FAILED, "source_refused"),
            QUIET: status(QUIET, JobState.COMPLETED),
        },
        "ended_again": [],
        "restarts": [],
        "leaked_keys": [],
    }


def test_where_every_promise_was_kept_nothing_is_wrong(seen: dict[str, Any]) -> None:
    """Each job has ended once and as it must, and every callback that was asked for has come."""
    verdict = judge(Evidence(**seen))
    assert verdict.faults == []
    assert verdict.lost_by_kill == []


def test_a_callback_may_come_again(seen: dict[str, Any]) -> None:
    """With the same id and the same content it is a repetition, which a receiver knows; it is counted."""
    hear(seen["ledger"], callback(DONE, "completed", result={"number": 7}))
    assert judge(Evidence(**seen)).faults == []
    assert seen["ledger"].heard[DONE].count == 2


BROKEN: dict[str, tuple[Callable[[dict[str, Any]], object], str, str]] = {
    "lost": (lambda seen: seen["statuses"].pop(DONE), DONE, "the API knows nothing of it"),
    "another end": (
        lambda seen: seen["statuses"].update({DONE: status(DONE, JobState.FAILED, "job_stalled")}),
        DONE,
        "ended as failed job_stalled, not as completed",
    ),
    "in no final set": (lambda seen: seen["engine"].ends.pop(DONE), DONE, "is in 0 of the engine's final sets"),
    "in two final sets": (lambda seen: seen["engine"].ends.update([DONE]), DONE, "is in 2 of the engine's final sets"),
    "ended twice": (lambda seen: seen["ended_again"].append(DONE), DONE, "it ended more than once"),
    "left active": (lambda seen: seen["engine"].open.update({"soak:active": [DONE]}), DONE, "left in soak:active"),
    "no callback": (lambda seen: seen["ledger"].heard.pop(DONE), DONE, "its callback never came"),
    "a callback of something else": (
        lambda seen: hear(seen["ledger"], callback("soak_99", "completed")),
        "soak_99",
        "nobody was told of",
    ),
    "a wrong signature": (
        lambda seen: hear(seen["ledger"], callback(DONE, "completed", result={"number": 7}, told={"verified": False})),
        DONE,
        "signature is wrong",
    ),
    "another id": (
        lambda seen: hear(seen["ledger"], callback(DONE, "completed", result={"number": 7}, told={"webhook_id": "x"})),
        DONE,
        "different ids",
    ),
    "a wrong id": (
        lambda seen: setattr(seen["ledger"].heard[DONE], "webhook_id", "x"),
        DONE,
        "its callback has the id x",
    ),
    "another content": (
        lambda seen: hear(seen["ledger"], callback(DONE, "completed", result={"number": 8})),
        DONE,
        "its callbacks differ",
    ),
    "a wrong result": (
        lambda seen: setattr(seen["ledger"].heard[DONE], "result", 8),
        DONE,
        "its callback gave 8, not 7",
    ),
    "a callback that says something else": (
        lambda seen: setattr(seen["ledger"].heard[REFUSED], "end", (JobState.COMPLETED, "")),
        REFUSED,
        "its callback said completed, the API says failed source_refused",
    ),
    "two orders, one job": (
        lambda seen: seen["ledger"].accept(DONE, order("done at once", 8), AT),
        DONE,
        "two orders became one job",
    ),
    "a leaked key": (lambda seen: seen["leaked_keys"].append("bull:x"), "bull:x", "neither an owner nor a time"),
}


@pytest.mark.parametrize(("spoil", "job_id", "what"), BROKEN.values(), ids=BROKEN)
def test_a_broken_promise_is_found(
    seen: dict[str, Any], spoil: Callable[[dict[str, Any]], object], job_id: str, what: str
) -> None:
    """It is told once, with the job and what is wrong."""
    spoil(seen)
    found = [fault for fault in judge(Evidence(**seen)).faults if what in fault.what]
    assert [fault.job_id for fault in found] == [job_id]


@pytest.mark.parametrize(
    ("orderly", "accepted_s_before", "is_allowed"),
    [(False, 1.0, True), (False, 3.0, False), (False, -1.0, False), (True, 1.0, False)],
)
def test_only_a_killed_server_may_lose_what_it_was_told_last(
    seen: dict[str, Any], *, orderly: bool, accepted_s_before: float, is_allowed: bool
) -> None:
    """What was accepted in the two seconds before, as `appendfsync everysec` says; a restart in order loses nothing."""
    del seen["statuses"][DONE]
    seen["restarts"].append(Restart(at=AT + accepted_s_before, orderly=orderly, outage_s=1.0))
    verdict = judge(Evidence(**seen))
    assert verdict.lost_by_kill == ([DONE] if is_allowed else [])
    assert bool(verdict.faults) is not is_allowed


def test_completions_that_happened_again_are_counted_in_the_log(tmp_path: Path) -> None:
    """Each beyond a job's first; attempts that ended otherwise are none, and two lines may have become one."""
    ends = [(DONE, "completed"), (DONE, "completed"), (REFUSED, "dead_lettered"), (QUIET, "completed")]
    lines = [
        json.dumps(
            {"job_id": job_id, "kind": "soak.echo", "tenant": "north", "outcome": outcome}, separators=(",", ":")
        )
        for job_id, outcome in ends
    ]
    log = tmp_path / "workers.log"
    log.write_text("\n".join(["".join(lines[:2]), *lines[2:]]))
    assert completed_again(log) == 1


def test_memory_that_grows_to_the_end_is_seen() -> None:
    """The last quarter is held against the third, so what a process takes at its start is no growth."""
    warm = Memory("MB", 10.0, [50.0, 80.0, *[100.0] * 6])
    leaking = Memory("MB", 10.0, [float(100 + 10 * at) for at in range(8)])
    assert (warm.growth, warm.bound) == (0.0, 10.0)
    assert leaking.growth > leaking.bound


def test_of_much_memory_a_twentieth_is_no_growth() -> None:
    """A bound in MB would be too narrow for what holds gigabytes."""
    assert Memory("MB", 10.0, [1_000.0] * 8).bound == 50.0
