"""Stock bullmq for Python with uvloop: its own Worker and Queue on its own connection."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bullmq import Job, Queue, Worker

from bench.subjects.harness import Add, Config, OnJob, Payload, main


def connection(config: Config) -> Any:  # noqa: ANN401 - what the package takes: options or a client
    """Give the package what it makes its connection of."""
    return {"host": "127.0.0.1", "port": config.port, "socket_timeout": 15}


@asynccontextmanager
async def producer(config: Config) -> AsyncIterator[Add]:
    """Add jobs by ``Queue.add``."""
    queue = Queue(config.queue, {"connection": connection(config)})

    async def add(payload: Payload, delay_s: float) -> object:
        return await queue.add("noop", payload, {"delay": round(delay_s * 1000)} if delay_s else {})

    yield add
    await queue.close()


async def work(config: Config, on_job: OnJob) -> None:
    """Run jobs that do nothing."""

    async def process(job: Job, _token: str) -> None:
        on_job(job.data)

    options = {"autorun": False, "concurrency": config.concurrency, "connection": connection(config)}
    worker = Worker(config.queue, process, {**options, "removeOnComplete": True})
    await worker.blockingRedisConnection.getRedisVersion()
    await worker.run()


if __name__ == "__main__":
    main(producer, work)
