"""Corral's engine alone: its connection and its finish-and-fetch, with jobs that do nothing.

The loop here is the least that one can be: a slot runs what its last end has brought, and one taker fills free slots.
"""

import asyncio

from bullmq import Job
from redis.asyncio.retry import Retry
from redis.backoff import FullJitterBackoff

from bench.subjects import bullmq_py
from bench.subjects.harness import Config, OnJob, main
from producers.pipelining import PipeliningRedis
from worker.engine_worker import EngineWorker


def connection(config: Config) -> PipeliningRedis:
    """Connect as a worker does."""
    patience = Retry(FullJitterBackoff(1, 0.05), 50)
    return PipeliningRedis.from_url(config.url, decode_responses=True, socket_timeout=15, retry=patience)  # type: ignore[return-value]


async def work(config: Config, on_job: OnJob) -> None:
    """Run jobs that do nothing."""
    options = {"connection": connection(config), "autorun": False, "lockDuration": 10_000}
    worker, free = EngineWorker(config.queue, None, options), asyncio.Semaphore(config.concurrency)
    await worker.blockingRedisConnection.getRedisVersion()

    async def slot(job: Job | None) -> None:
        while job is not None:
            on_job(job.data)
            job = await worker.complete(job, "null", keep={"count": 0}, fetch=True)
        free.release()

    async with asyncio.TaskGroup() as slots:
        while await free.acquire():
            slots.create_task(slot(await worker.getNextJob(worker.new_token())))


if __name__ == "__main__":
    bullmq_py.connection = connection
    main(bullmq_py.producer, work)
