"""A job of the engine in our words, whoever added it and whatever was written to it."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.engine.cancel import CANCEL_FIELD
from producers.engine.job_record import progress_of, record, tenant_of
from schemas.job_status import JobState, Progress

NODE_JOB = {"name": "convert", "data": '{"source": 1}', "timestamp": "1700000000000", "opts": "{}"}


@pytest.mark.parametrize(
    ("engine_state", "state"),
    [
        ("waiting", JobState.WAITING),
        ("prioritized", JobState.WAITING),
        ("waiting-children", JobState.WAITING),
        ("paused", JobState.WAITING),
        ("unknown", JobState.WAITING),
        ("delayed", JobState.DELAYED),
        ("active", JobState.ACTIVE),
        ("completed", JobState.COMPLETED),
        ("failed", JobState.FAILED),
    ],
)
def test_each_state_of_the_engine_is_one_of_ours(engine_state: str, state: JobState) -> None:
    """A job that waits for whatever reason is waiting."""
    assert record("documents", "17", NODE_JOB, engine_state).status.state is state


def test_a_plain_job_of_a_node_program_is_a_job_like_any_other() -> None:
    """Its number gets its queue, its verb becomes the kind, and its tenant is the default one."""
    found = record("documents", "17", NODE_JOB, "waiting")

    assert (found.status.id, found.status.kind) == ("documents_17", "documents.convert")
    assert found.status.added_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert found.status.started_at is found.status.finished_at is None
    assert found.data == {"source": 1}
    assert tenant_of(found) == "default"


def test_a_job_of_ours_keeps_its_names() -> None:
    """Neither the queue nor the kind is said twice."""
    found = record("documents", "documents_x", {**NODE_JOB, "name": "documents.convert"}, "waiting")
    assert (found.status.id, found.status.kind) == ("documents_x", "documents.convert")


def test_a_tenant_is_who_the_envelope_says() -> None:
    """An envelope that nobody can read belongs to the default tenant, and never to another one."""
    ours = {**NODE_JOB, "data": json.dumps({"_corral": {"tenant": "acme"}})}
    broken = {**NODE_JOB, "data": json.dumps({"_corral": {"tenant": "acme", "version": 9}})}
    assert tenant_of(record("documents", "1", ours, "waiting")) == "acme"
    assert tenant_of(record("documents", "1", broken, "waiting")) == "default"


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("document_encrypted: it needs a password", "document_encrypted"),
        ("job stalled more than allowable limit", "job_stalled"),
        ("TypeError: x is not a function", "corral_error"),
    ],
)
def test_a_failure_has_a_code(reason: str, code: str) -> None:
    """Ours as it was written, the engine's own for a job whose workers died, and one for all others."""
    found = record("documents", "1", {**NODE_JOB, "failedReason": reason}, "failed")
    assert found.status.error is not None
    assert found.status.error.code == code


def test_what_a_completed_job_failed_with_before_is_history() -> None:
    """The result counts."""
    raw = {**NODE_JOB, "failedReason": "handler_failed: once", "returnvalue": '{"pages": 3}'}
    found = record("documents", "1", raw, "completed")
    assert found.status.error is None
    assert found.result == {"pages": 3}


@pytest.mark.parametrize(
    ("engine_state", "state"),
    [("waiting", JobState.CANCELLED), ("delayed", JobState.CANCELLED), ("active", JobState.ACTIVE)],
)
def test_a_flagged_job_is_cancelled_unless_it_runs(engine_state: str, state: JobState) -> None:
    """Whoever takes it ends it unrun; one that runs says itself when it has stopped."""
    assert record("documents", "1", {**NODE_JOB, CANCEL_FIELD: "1"}, engine_state).status.state is state


def test_a_job_that_ended_by_request_is_cancelled_and_not_failed() -> None:
    """The engine knows only failures."""
    raw = {**NODE_JOB, "failedReason": "job_cancelled: somebody asked for its end"}
    assert record("documents", "1", raw, "failed").status.state is JobState.CANCELLED


@pytest.mark.parametrize(
    ("stored", "progress"),
    [
        ({"done": 2, "total": 9, "unit": "pages"}, Progress(done=2, total=9, unit="pages")),
        ({"done": 2, "total": 9}, Progress(done=2, total=9)),
        (42, Progress(done=42, total=100, unit="percent")),
        (99.6, Progress(done=100, total=100, unit="percent")),
        (0, None),
        (True, None),
        (-1, None),
        (float("nan"), None),
        (float("inf"), None),
        ({"done": -1, "total": 3}, None),
        ({"step": "reading"}, None),
        ("halfway", None),
        (None, None),
    ],
)
def test_progress_is_ours_a_percentage_or_nothing(stored: object, progress: Progress | None) -> None:
    """A program that reports in its own way must not make its job unreadable."""
    assert progress_of(stored) == progress


fields = st.sampled_from(["data", "progress", "returnvalue", "timestamp", "processedOn", "finishedOn", "failedReason"])


@given(st.dictionaries(fields, st.text() | st.sampled_from(["NaN", "[[", "1e400", "99999999999999999999"])))
def test_nothing_that_anybody_wrote_hides_a_job(raw: dict[str, str]) -> None:
    """Whatever is in the hash, there is a status."""
    for state in ("waiting", "completed", "failed"):
        assert record("documents", "17", {"name": "convert", **raw}, state).status.id == "documents_17"
