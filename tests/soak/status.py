"""How each job ended: by the engine's record, as the API reads it, and by what the API answers to the job's owner."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus

from redis.asyncio import Redis

from producers.client import ApiRefused
from producers.engine.jobs import Engine
from schemas.job_status import JobStatus
from tests.soak.load import Api, clients
from tests.soak.order import Order

_READERS = 32
_KEEP_S = 3_600

Statuses = dict[str, JobStatus | None]


async def recorded(redis: Redis, job_ids: Iterable[str]) -> Statuses:
    """Read jobs as the API does behind its door; None for one that is not there."""
    engine = Engine(redis, prefix="bull", keep_finished_s=_KEEP_S)

    async def status(job_id: str) -> JobStatus | None:
        found = await engine.read(job_id)
        return found.status if found else None

    return await _each(job_ids, status)


async def answered(api: Api, orders: dict[str, Order]) -> Statuses:
    """Ask the API for jobs, each as its tenant; None where it knows of none."""
    async with clients(api) as opened:

        async def status(job_id: str) -> JobStatus | None:
            try:
                return await opened[orders[job_id].tenant].status(job_id)
            except ApiRefused as error:
                if error.status != HTTPStatus.NOT_FOUND:
                    raise
                return None

        return await _each(orders, status)


async def _each(job_ids: Iterable[str], look: Callable[[str], Awaitable[JobStatus | None]]) -> Statuses:
    found: Statuses = {}
    left = iter(job_ids)

    async def read() -> None:
        for job_id in left:
            found[job_id] = await look(job_id)

    async with asyncio.TaskGroup() as group:
        for _ in range(_READERS):
            group.create_task(read())
    return found
