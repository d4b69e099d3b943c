"""What the soak prints and writes: a table of figures, the promises, and what is wrong."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bench.report import Report, Row, Target
from tests.soak.memory import Memory
from tests.soak.order import MIXTURE
from tests.soak.verdict import Evidence, Verdict

_RUN, _MEMORY = "run", "memory"
_SHOWN_FAULTS = 20
_SHOWN_LINES = 5


@dataclass(frozen=True)
class Work:
    """From the first order to the last end: how long it took, how many workers were killed, what memory was held."""

    seconds: float
    kills: int
    memory: dict[str, Memory]


@dataclass(frozen=True)
class Run:
    """The work, and what was found when all was stopped."""

    work: Work
    whole_s: float
    completed_again: int
    processes_left: int
    ended_badly: int


def report(seen: Evidence, verdict: Verdict, run: Run) -> Report:
    """Put the figures and the promises together."""
    rows = [*_of_sorts(seen), *_of_all(seen, verdict, run), *_of_memory(run.work.memory)]
    return Report("soak", rows, list(_promises(seen, verdict, run)))


def show(made: Report, console: Console) -> None:
    """Print the jobs and the memory as tables, the run as lines, and then the promises."""
    run = [row for row in made.rows if row.case == _RUN]
    memory = [row for row in made.rows if row.case.startswith(_MEMORY)]
    Report("soak: jobs", [row for row in made.rows if row not in (*run, *memory)]).show(console)
    for row in run:
        console.print(f"{row.metric:>26} {row.value:,.6g} {row.unit}")
    Report("soak: memory", memory, made.targets).show(console)


def show_faults(verdict: Verdict, seen: Evidence, log: Path) -> Iterator[str]:
    """Say what is wrong, each with the job's state and the last lines of the workers' log about it."""
    for fault in verdict.faults[:_SHOWN_FAULTS]:
        yield f"{fault.job_id}: {fault.what}"
        if status := seen.statuses.get(fault.job_id):
            yield f"    {status.model_dump_json(exclude_none=True, exclude={'links'})}"
        with log.open(encoding="utf-8") as lines:
            # Its callback's are among them: the two ids differ in their queue alone.
            told = [line.strip() for line in lines if fault.job_id.partition("_")[2] in line]
        yield from (f"    {line}" for line in told[-_SHOWN_LINES:])
    if len(verdict.faults) > _SHOWN_FAULTS:
        yield f"... and {len(verdict.faults) - _SHOWN_FAULTS} more"


def _of_sorts(seen: Evidence) -> Iterator[Row]:
    for sort in MIXTURE:
        job_ids = [job_id for job_id, order in seen.ledger.accepted.items() if order.sort is sort]
        statuses = [status for job_id in job_ids if (status := seen.statuses.get(job_id))]
        states = Counter(str(status.state) for status in statuses)
        heard = [seen.ledger.heard[job_id].count for job_id in job_ids if job_id in seen.ledger.heard]
        yield Row(sort.name, "jobs", "accepted", len(job_ids), "")
        for state in ("completed", "failed", "cancelled"):
            yield Row(sort.name, "jobs", state, states[state], "")
        yield Row(sort.name, "jobs", "attempts begun", sum(status.attempts for status in statuses), "")
        yield Row(sort.name, "callbacks", "came", len(heard), "")
        yield Row(sort.name, "callbacks", "came again", sum(heard) - len(heard), "")


def _of_all(seen: Evidence, verdict: Verdict, run: Run) -> Iterator[Row]:
    outages = [one.outage_s for one in seen.restarts]
    figures = (
        ("rate", len(seen.ledger.accepted) / run.work.seconds, "jobs/s"),
        ("work", run.work.seconds, "s"),
        ("whole run", run.whole_s, "s"),
        ("kills of workers", run.work.kills, ""),
        ("restarts of the server", len(outages), ""),
        ("restarts by SIGKILL", sum(not one.orderly for one in seen.restarts), ""),
        ("longest outage", max(outages, default=0.0), "s"),
        ("requests refused", seen.ledger.refused, ""),
        ("completed again", run.completed_again, ""),
        ("lost by a killed server", len(verdict.lost_by_kill), ""),
    )
    for metric, value, unit in figures:
        yield Row("all", _RUN, metric, value, unit)


def _of_memory(memory: dict[str, Memory]) -> Iterator[Row]:
    for name, held in memory.items():
        for metric, value in (("2nd quarter", held.quarter(2)), ("3rd", held.quarter(3)), ("4th", held.quarter(4))):
            yield Row(name, f"{_MEMORY}, {held.unit}", metric, value, "")


def _promises(seen: Evidence, verdict: Verdict, run: Run) -> Iterator[Target]:
    lost = set(verdict.lost_by_kill)
    kept = [job_id for job_id in seen.ledger.accepted if job_id not in lost]
    ended = sum(seen.engine.ends[job_id] == 1 for job_id in kept)
    wanted = [job_id for job_id in kept if seen.ledger.accepted[job_id].sort.has_callback]
    missing = sum(job_id not in seen.ledger.heard for job_id in wanted)
    yield Target("soak.ended_once", "accepted jobs that ended once", ended, len(kept), ">=")
    yield Target("soak.callbacks_missing", "callbacks that never came", missing, 0, "<=")
    yield Target("soak.faults", "promises broken", len(verdict.faults), 0, "<=")
    yield Target("soak.processes_left", "processes left behind", run.processes_left, 0, "<=")
    yield Target("soak.ended_badly", "workers that nobody killed and that did not end with 0", run.ended_badly, 0, "<=")
    for name, held in run.work.memory.items():
        metric = f"growth of the {name}'s memory from the third quarter to the last, {held.unit}"
        yield Target(f"soak.memory.{name}", metric, held.growth, held.bound, "<=")
