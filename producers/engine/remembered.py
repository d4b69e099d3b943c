"""How a job ended whose own record is no longer kept, from the record of its callback.

The engine keeps the newest ended jobs of a queue, so a job may be gone while its callback is still being
retried. The script that ended the job has written its result, or its error, beside the callback.
"""

import json
from datetime import UTC, datetime
from typing import Any

from redis.asyncio import Redis

from schemas.errors import Cancelled, CorralError, JobError
from schemas.job_status import JobRecord, JobState, JobStatus
from schemas.jobs.callbacks import DELIVER


def callback_id(job_id: str) -> str:
    """Name a job's callback: the job's own characters, so that whoever sees one id finds the other."""
    return f"{DELIVER.queue}_{job_id.partition('_')[2]}"


async def remembered(redis: Redis, prefix: str, queue: str, job_id: str) -> JobRecord | None:
    """Give what is known of a job that is gone; None when it had no callback, or was removed before its end."""
    if ":" in job_id:
        # No id has one: the name would lead to another of the engine's keys.
        return None
    home, job_key = f"{prefix}:{DELIVER.queue}:{callback_id(job_id)}", f"{prefix}:{queue}:{job_id}"
    pipe = redis.pipeline(transaction=False)
    pipe.hmget(home, "data", "timestamp")
    pipe.hget(f"{home}:processed", job_key)
    pipe.hget(f"{home}:failed", job_key)
    (data, added_ms), result, failure = await pipe.execute()
    if data is None or (result is None and failure is None):
        return None
    notice: dict[str, Any] = json.loads(data)
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
