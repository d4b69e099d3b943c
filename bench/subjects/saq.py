"""saq: an asyncio worker on Redis lists."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from saq import Queue, Worker

from bench.subjects.harness import Add, Config, OnJob, Payload, main


@asynccontextmanager
async def producer(config: Config) -> AsyncIterator[Add]:
    """Add jobs by ``Queue.enqueue``."""
    queue = Queue.from_url(config.url, name=config.queue)
    await queue.connect()

    async def add(payload: Payload, _delay_s: float) -> object:
        return await queue.enqueue("noop", carried=payload)

    yield add
    await queue.disconnect()


async def work(config: Config, on_job: OnJob) -> None:
    """Run jobs that do nothing."""

    async def noop(_context: object, *, carried: Payload) -> None:
        on_job(carried)

    queue = Queue.from_url(config.url, name=config.queue)
    await Worker(queue, functions=[("noop", noop)], concurrency=config.concurrency).start()


if __name__ == "__main__":
    main(producer, work)
