"""A job's record is read as the package reads it, and one that nobody can read is a job all the same."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from bullmq import Job
from hypothesis import given
from hypothesis import strategies as st

from worker.engine_job import EngineJob

_RECORD = {
    "name": "run",
    "data": '{"n": 1}',
    "opts": '{"attempts": 4, "delay": 50, "fpof": true}',
    "timestamp": "1700000000123",
    "atm": "2",
    "ats": "3",
    "defa": "job stalled more than allowable limit",
    "parentKey": "bull:callbacks:7",
}


def read(**changes: str) -> EngineJob:
    """Read a record like the one above."""
    return EngineJob.read("j1", "token", {**_RECORD, **changes})


def test_what_a_worker_needs_is_read() -> None:
    """Numbers, options, and what the engine decided before."""
    job = read()
    assert (job.id, job.token, job.name, job.data) == ("j1", "token", "run", {"n": 1})
    assert (job.attempts, job.attempts_made, job.attempts_started) == (4, 2, 3)
    assert (job.timestamp_ms, job.opts["delay"], job.opts["fpof"]) == (1_700_000_000_123, 50, True)
    assert (job.parent_key, job.deferred_failure) == ("bull:callbacks:7", "job stalled more than allowable limit")


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(data=_json, attempts=st.integers(1, 99), made=st.integers(0, 99))
def test_it_is_what_the_package_reads(data: object, attempts: int, made: int) -> None:
    """For whatever JSON holds."""
    record = {**_RECORD, "data": json.dumps(data), "opts": json.dumps({"attempts": attempts}), "atm": str(made)}
    theirs: Any = Job.fromJSON(SimpleNamespace(backend=None, qualifiedName=""), record, "j1")
    ours = EngineJob.read("j1", "token", record)
    assert (ours.data, ours.attempts, ours.attempts_made) == (theirs.data, theirs.attempts, theirs.attemptsMade)
    assert (ours.timestamp_ms, ours.attempts_started) == (theirs.timestamp, theirs.attemptsStarted)
    assert (ours.name, ours.parent_key, ours.deferred_failure) == (
        theirs.name,
        theirs.parentKey,
        theirs.deferredFailure,
    )


def test_half_a_surrogate_pair_is_data() -> None:
    """Node cuts strings anywhere and writes the half as an escape."""
    assert read(data='{"cut": "\\ud83d"}').data == {"cut": "\ud83d"}


def test_deep_nesting_is_data() -> None:
    """Three hundred lists in each other are unusual and no fault."""
    assert read(data="[" * 300 + "]" * 300).data


@pytest.mark.parametrize(
    "changes",
    [
        {"data": "{"},
        {"data": "[" * 100_000},
        {"opts": "7"},
        {"opts": "["},
        {"timestamp": "soon"},
        {"atm": "x"},
        {"ats": "1.5"},
    ],
)
def test_what_nobody_can_read_has_no_data_and_keeps_its_parent(changes: dict[str, str]) -> None:
    """So it ends, and whoever waits for it hears of that."""
    job = read(**changes)
    assert (job.data, job.name, job.parent_key, job.attempts) == (None, "run", "bull:callbacks:7", 1)


@pytest.mark.parametrize("attempts", ["0", "-1", '"many"', "null", "2.5"])
def test_odd_numbers_of_attempts_are_one(attempts: str) -> None:
    """Whoever added the job may have written anything."""
    assert read(opts=f'{{"attempts": {attempts}}}').attempts == 1
