"""arq: an asyncio worker that polls Redis."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from arq import create_pool, func
from arq.connections import RedisSettings
from arq.worker import Worker

from bench.subjects.harness import Add, Config, OnJob, Payload, main


@asynccontextmanager
async def producer(config: Config) -> AsyncIterator[Add]:
    """Add jobs by ``enqueue_job``."""
    pool = await create_pool(RedisSettings(port=config.port), default_queue_name=config.queue)

    async def add(payload: Payload, _delay_s: float) -> object:
        return await pool.enqueue_job("noop", payload)

    yield add
    await pool.aclose()


async def work(config: Config, on_job: OnJob) -> None:
    """Run jobs that do nothing."""

    async def noop(_context: object, carried: Payload) -> None:
        on_job(carried)

    worker = Worker(
        functions=[func(noop, name="noop", keep_result=0)],
        redis_settings=RedisSettings(port=config.port),
        queue_name=config.queue,
        max_jobs=config.concurrency,
        handle_signals=False,
    )
    await worker.async_run()


if __name__ == "__main__":
    main(producer, work)
