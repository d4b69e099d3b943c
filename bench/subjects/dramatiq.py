"""dramatiq: threads on Redis."""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dramatiq import Actor, Worker, actor
from dramatiq.brokers.redis import RedisBroker

from bench.subjects.harness import Add, Config, OnJob, Payload, main


def _actor(config: Config, on_job: OnJob) -> "tuple[RedisBroker, Actor[[Payload], None]]":
    broker = RedisBroker(url=config.url)

    def noop(carried: Payload) -> None:
        on_job(carried)

    return broker, actor(noop, broker=broker, queue_name=config.queue)


@asynccontextmanager
async def producer(config: Config) -> AsyncIterator[Add]:
    """Add jobs by ``send``; it blocks, so 100 callers add one after the other."""
    broker, noop = _actor(config, lambda _: None)

    async def add(payload: Payload, _delay_s: float) -> object:
        return noop.send(payload)

    yield add
    broker.close()


def work(config: Config, on_job: OnJob) -> None:
    """Run jobs that do nothing."""
    broker, _ = _actor(config, on_job)
    Worker(broker, worker_threads=config.concurrency).start()
    threading.Event().wait()


if __name__ == "__main__":
    main(producer, work)
