"""A worker of the product in the benchmark's own process, for jobs whose handling is not what is measured."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from pydantic import BaseModel

from producers import connection
from schemas.job_spec import JobSpec
from worker.attempt import Attempt
from worker.consumer import BLOCK_S, Consumer
from worker.consumer_options import ConsumerOptions
from worker.metrics import WorkerMetrics
from worker.registry import Entry, Registry
from worker.runner import Runner

_CONCURRENCY = 20


@asynccontextmanager
async def working(
    url: str, spec: JobSpec[Any, Any], handle: Callable[[Any, Any], Awaitable[BaseModel]], *, keep_finished_s: int
) -> AsyncIterator[None]:
    """Do the jobs of one kind, 20 at a time, for the length of a block."""
    registry = Registry([Entry(spec, handle, frozenset())])
    attempt = Attempt(registry, {}, WorkerMetrics(registry), random.Random(1))  # noqa: S311 - jitter
    async with connection.patient(url, block_s=BLOCK_S) as redis:
        options = ConsumerOptions(
            queue=spec.queue, prefix="bull", name="bench", lock_s=30, crashes=3, keep_finished_s=keep_finished_s
        )
        runner = Runner(Consumer(redis, options), attempt, concurrency=_CONCURRENCY)
        task = asyncio.create_task(runner.run())
        yield
        runner.stop()
        await task
