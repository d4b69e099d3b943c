"""What each process of a fleet on one machine is told."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.core_count import core_count, shares
from worker.merged_metrics import merged
from worker.process_group import planned
from worker.settings import WorkerSettings

QUEUES = ["callbacks", "documents"]


def settings(**given_: int) -> WorkerSettings:
    """Settings of a worker that has so many processes and parsers."""
    return WorkerSettings.model_validate({"redis_url": "unix:///nowhere.sock", **given_})


@given(st.integers(0, 500), st.integers(1, 300))
def test_shares_are_whole_and_even(whole: int, parts: int) -> None:
    """Nothing is lost, nothing is added, and no two differ by more than one."""
    divided = shares(whole, parts)
    assert sum(divided) == whole
    assert len(divided) == parts
    assert max(divided) - min(divided) <= 1


@given(st.integers(1, 64), st.integers(1, 64))
def test_no_more_parsers_run_than_were_set(processes: int, parsers: int) -> None:
    """Over all processes: those that read documents have them, and no process reads them without one."""
    plans = planned(settings(worker_processes=processes, parser_processes=parsers), QUEUES, "worker", Path("run"))
    reading = [plan for plan in plans if "documents" in plan.arguments]
    assert sum(int(plan.environment["CORRAL_PARSER_PROCESSES"]) for plan in reading) == parsers
    assert all("callbacks" in plan.arguments for plan in plans)
    assert len(plans) == processes


def test_a_worker_for_documents_alone_has_no_process_without_a_parser() -> None:
    """It would have nothing to do."""
    plans = planned(settings(worker_processes=8, parser_processes=3), ["documents"], "worker", Path("run"))
    assert len(plans) == 3


@pytest.mark.parametrize(
    ("text", "most"),
    [("200000 100000\n", 2), ("50000 100000\n", 1), ("max 100000\n", 10_000), ("", 10_000)],
)
def test_a_containers_limit_counts(tmp_path: Path, text: str, most: int) -> None:
    """One core per process means the cores that the container may use, not those of its host."""
    limit = tmp_path / "cpu.max"
    limit.write_text(text)
    assert 1 <= core_count(limit) <= most
    assert core_count(tmp_path / "none") >= core_count(limit)


def test_series_of_several_processes_are_one_page() -> None:
    """Each family is described once; each series says which process it is of."""
    page = '# HELP jobs_total Jobs.\n# TYPE jobs_total counter\njobs_total{kind="a"} 1.0\n'
    text = merged({"0": page, "1": page}).decode()
    assert text.count("# TYPE jobs_total counter") == 1
    assert 'jobs_total{kind="a",process="0"} 1.0' in text
    assert 'jobs_total{kind="a",process="1"} 1.0' in text
