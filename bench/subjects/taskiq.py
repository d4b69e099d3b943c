"""taskiq on a Redis stream, which acknowledges as the others do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from taskiq import AsyncTaskiqDecoratedTask
from taskiq.api import run_receiver_task
from taskiq_redis import RedisStreamBroker

from bench.subjects.harness import Add, Config, OnJob, Payload, main


def _task(config: Config, on_job: OnJob) -> tuple[RedisStreamBroker, AsyncTaskiqDecoratedTask[[Payload], None]]:
    broker = RedisStreamBroker(config.url, queue_name=config.queue)

    @broker.task(task_name="noop")
    async def noop(carried: Payload) -> None:
        on_job(carried)

    return broker, noop


@asynccontextmanager
async def producer(config: Config) -> AsyncIterator[Add]:
    """Add jobs by ``kiq``."""
    broker, noop = _task(config, lambda _: None)
    await broker.startup()

    async def add(payload: Payload, _delay_s: float) -> object:
        return await noop.kiq(payload)

    yield add
    await broker.shutdown()


async def work(config: Config, on_job: OnJob) -> None:
    """Run jobs that do nothing."""
    broker, _ = _task(config, on_job)
    broker.is_worker_process = True
    await asyncio.create_task(run_receiver_task(broker, max_async_tasks=config.concurrency, run_startup=True))


if __name__ == "__main__":
    main(producer, work)
