"""Reads a job that has ended: in one look, for its end changes no more."""

from collections.abc import Awaitable
from typing import cast

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from producers.engine.job_record import record
from producers.engine.jobs import answering
from schemas import job_id as ids
from schemas.job_status import JobRecord


async def ended_job(redis: Redis, prefix: str, job_id: str) -> JobRecord | None:
    """Give a job that has ended; None when it has not, or is not found under its public id.

    Raises:
        EngineUnavailable: the server does not answer.
    """
    if not (queue := ids.queue_of(job_id)):
        return None
    async with answering():
        try:
            raw = await cast("Awaitable[dict[str, str]]", redis.hgetall(f"{prefix}:{queue}:{job_id}"))
        except ResponseError:
            # It names a list or a stream of the queue.
            return None
    # The engine's scripts write both as a job ends, and take both away when it is run again.
    if "name" not in raw or "finishedOn" not in raw:
        return None
    return record(queue, job_id, raw, "completed" if "returnvalue" in raw else "failed")
