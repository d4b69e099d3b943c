"""Whether every promise was kept: the soak's books held against the engine's sets, the API and the workers' log."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from producers.engine.notice import callback_id
from schemas.job_status import JobState, JobStatus
from tests.soak.engine_state import EngineState
from tests.soak.ledger import Fault, Heard, Ledger
from tests.soak.order import COMPLETED, End, Order
from tests.soak.trouble import Restart

# `appendfsync everysec`: what a killed server had not written. One that ends in order loses nothing.
LOSABLE_S = 2.0
_COMPLETED = re.compile(r'"job_id":"([^"]+)","kind":"[^"]+","tenant":"[^"]+","outcome":"completed"')


@dataclass(frozen=True)
class Evidence:
    """All that is known when everything has ended."""

    ledger: Ledger
    engine: EngineState
    statuses: Mapping[str, JobStatus | None]
    ended_again: Sequence[str]
    restarts: Sequence[Restart]
    leaked_keys: Sequence[str]


@dataclass
class Verdict:
    """What is wrong, and what the server was allowed to lose."""

    faults: list[Fault] = field(default_factory=list)
    lost_by_kill: list[str] = field(default_factory=list)


def judge(seen: Evidence) -> Verdict:
    """Hold everything against everything."""
    verdict = Verdict(faults=list(seen.ledger.faults))
    for job_id, order in seen.ledger.accepted.items():
        if seen.statuses.get(job_id) is None and _may_be_lost(seen.ledger.accepted_at[job_id], seen.restarts):
            verdict.lost_by_kill.append(job_id)
        else:
            verdict.faults += [Fault(job_id, what) for what in _of_job(job_id, order, seen)]
    strangers = seen.ledger.heard.keys() - seen.ledger.accepted.keys()
    verdict.faults += [Fault(job_id, "a callback came for a job that nobody was told of") for job_id in strangers]
    verdict.faults += [Fault(job_id, "it ended more than once") for job_id in set(seen.ended_again)]
    verdict.faults += [Fault(job_id, f"left in {place}") for place, left in seen.engine.open.items() for job_id in left]
    verdict.faults += [Fault(key, "the key has neither an owner nor a time to live") for key in seen.leaked_keys]
    return verdict


def completed_again(log: Path) -> int:
    """Count in the workers' log the completions of one job beyond its first: effects that happened again."""
    with log.open(encoding="utf-8") as lines:
        completed = Counter(job_id for line in lines for job_id in _COMPLETED.findall(line))
    return completed.total() - len(completed)


def _may_be_lost(accepted_at: float, restarts: Sequence[Restart]) -> bool:
    return any(not one.orderly and one.at - LOSABLE_S <= accepted_at <= one.at for one in restarts)


def _of_job(job_id: str, order: Order, seen: Evidence) -> Iterator[str]:
    status = seen.statuses.get(job_id)
    if status is None:
        yield "accepted, and the API knows nothing of it"
        return
    end = status.state, status.error.code if status.error and status.state is not JobState.COMPLETED else ""
    if end not in order.sort.ends:
        yield f"ended as {_text(end)}, not as {' or '.join(map(_text, order.sort.ends))}"
    if (sets := seen.engine.ends[job_id]) != 1:
        yield f"is in {sets} of the engine's final sets"
    if order.sort.has_callback:
        yield from _of_callback(job_id, order, end, seen.ledger.heard.get(job_id))


def _of_callback(job_id: str, order: Order, end: End, heard: Heard | None) -> Iterator[str]:
    if heard is None:
        yield "its callback never came"
        return
    if heard.webhook_id != callback_id(job_id):
        yield f"its callback has the id {heard.webhook_id}"
    if heard.end != end:
        yield f"its callback said {_text(heard.end)}, the API says {_text(end)}"
    if end == COMPLETED and heard.result != order.result:
        yield f"its callback gave {heard.result}, not {order.result}"


def _text(end: End) -> str:
    state, code = end
    return f"{state} {code}".strip()
