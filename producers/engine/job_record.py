"""A job as the engine keeps it, in our words: its hash and its state, translated.

Any program may have added the job or reported on it, so nothing in the hash is taken for granted.
"""

import json
from datetime import UTC, datetime
from typing import Any

from producers.engine.cancel import CANCEL_FIELD
from schemas import job_id as ids
from schemas.envelope import DEFAULT_TENANT, Envelope
from schemas.errors import Cancelled, CorralError, JobError, JobStalled, PayloadInvalid
from schemas.job_status import JobRecord, JobState, JobStatus, Progress

_STATES = {
    "waiting": JobState.WAITING,
    "prioritized": JobState.WAITING,
    "waiting-children": JobState.WAITING,
    "delayed": JobState.DELAYED,
    "active": JobState.ACTIVE,
    "completed": JobState.COMPLETED,
    "failed": JobState.FAILED,
}

# What the engine's own script writes when workers have died under a job too often.
_STALLED = "job stalled more than allowable limit"

_PERCENT = 100


def record(queue: str, engine_id: str, raw: dict[str, str], engine_state: str) -> JobRecord:
    """Translate a job's hash and state from the engine's words into ours."""
    state = _STATES.get(engine_state, JobState.WAITING)
    failure = failed_with(raw, state)
    if (failure and failure.code == Cancelled.code) or (CANCEL_FIELD in raw and state in _BEFORE_RUNNING):
        state = JobState.CANCELLED
    status = JobStatus(
        id=ids.public(queue, engine_id),
        kind=kind_of(queue, raw["name"]),
        state=state,
        progress=progress_of(_json(raw.get("progress"))),
        attempts=int(raw.get("ats", 0)),
        error=failure,
        added_at=_time(raw.get("timestamp")) or datetime.fromtimestamp(0, UTC),
        started_at=_time(raw.get("processedOn")),
        finished_at=_time(raw.get("finishedOn")),
    )
    result = _json(raw.get("returnvalue")) if state is JobState.COMPLETED else None
    return JobRecord(status=status, data=_data(raw), result=result)


# A worker that takes a flagged job ends it unrun, so for its owner it has ended already.
_BEFORE_RUNNING = frozenset({JobState.WAITING, JobState.DELAYED})


def kind_of(queue: str, name: str) -> str:
    """Name a job's kind: programs that add jobs plainly may say the verb alone."""
    return name if name.startswith(f"{queue}.") else f"{queue}.{name}"


def failed_with(raw: dict[str, str], state: JobState) -> JobError | None:
    """Read why a job's last attempt failed; the engine's own reason is a stall."""
    if state is JobState.COMPLETED or not (text := raw.get("failedReason")):
        return None
    return JobError.parse(text, unknown=JobStalled.code if text == _STALLED else CorralError.code)


def tenant_of(found: JobRecord) -> str:
    """Say whose job it is; one with an envelope that nobody can read belongs to the default tenant."""
    try:
        envelope, _ = Envelope.unwrap(found.data)
    except PayloadInvalid:
        return DEFAULT_TENANT
    return envelope.tenant


def progress_of(stored: object) -> Progress | None:
    """Read what a handler reported: ours, or the percentage of one that reports plainly."""
    match stored:
        case {"done": int() as done, "total": int() as total, **rest} if done >= 0 and total >= 0:
            return Progress(done=done, total=total, unit=str(rest.get("unit", "steps")))
        case bool():
            return None
        case int() | float() if 0 < stored <= _PERCENT:
            return Progress(done=round(stored), total=_PERCENT, unit="percent")
        case _:
            return None


def _data(raw: dict[str, str]) -> dict[str, Any]:
    data = _json(raw.get("data"))
    return data if isinstance(data, dict) else {}


def _json(text: str | None) -> Any:  # noqa: ANN401 - any JSON
    # Any program may have written it: what cannot be read must not hide the job.
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None


def _time(milliseconds: str | None) -> datetime | None:
    try:
        return datetime.fromtimestamp(float(milliseconds) / 1000, UTC) if milliseconds else None
    except (ValueError, OverflowError, OSError):
        return None
