"""How a job ended whose own record is no longer kept, from the record of its callback.

The engine keeps the newest ended jobs of a queue, so a job may be gone while its callback is still being
retried. The script that ended the job has written its result, or its error, beside the callback.
"""

import json
from datetime import UTC, datetime
from typing import Any

from redis.asyncio import Redis

from producers.engine.notice import callback_id, plain_callback_id
from schemas import job_id as ids
from schemas.errors import Cancelled, CorralError, JobError
from schemas.job_status import JobRecord, JobState, JobStatus
from schemas.jobs.callbacks import DELIVER


async def remembered(redis: Redis, prefix: str, queue: str, job_id: str) -> JobRecord | None:
    """Give what is known of a job that is gone; None when it had no callback, or was removed before its end."""
    names = [plain_callback_id(job_id)]
    if ":" not in job_id:
        # No id of ours has one: the name would lead to another of the engine's keys.
        names.append(callback_id(job_id))
    homes = [f"{prefix}:{DELIVER.queue}:{name}" for name in names]
    fields = [f"{prefix}:{queue}:{engine_id}" for engine_id in ids.engine_ids(job_id)]
    pipe = redis.pipeline(transaction=False)
    for home in homes:
        pipe.hmget(home, "data", "timestamp")
        pipe.hmget(f"{home}:processed", fields)
        pipe.hmget(f"{home}:failed", fields)
    found = await pipe.execute()
    for (data, added_ms), results, failures in zip(found[::3], found[1::3], found[2::3], strict=True):
        result, failure = _first(results), _first(failures)
        if data is not None and (result is not None or failure is not None):
            return _record(job_id, json.loads(data), added_ms, result, failure)
    return None


def _record(job_id: str, notice: dict[str, Any], added_ms: str, result: str | None, failure: str | None) -> JobRecord:
    error = None if failure is None else JobError.parse(failure, unknown=CorralError.code)
    state = JobState.COMPLETED
    if error is not None:
        state = JobState.CANCELLED if error.code == Cancelled.code else JobState.FAILED
    status = JobStatus(
        id=job_id,
        kind=notice["kind"],
        state=state,
        # How often it ran went with the job.
        attempts=1,
        error=error,
        added_at=datetime.fromtimestamp(float(added_ms) / 1000, UTC),
    )
    return JobRecord(status=status, data=notice, result=json.loads(result) if result else None)


def _first(values: list[str | None]) -> str | None:
    return next((value for value in values if value is not None), None)
