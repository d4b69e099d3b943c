"""rq: its worker that does not fork, one job at a time, which is its fastest."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module

from redis import Redis
from rq import Queue, SimpleWorker

from bench.subjects.harness import Add, Config, OnJob, Payload, main

_heard: list[OnJob] = []


def noop(carried: Payload) -> None:
    """Do nothing; rq finds it by its name."""
    _heard[0](carried)


@asynccontextmanager
async def producer(config: Config) -> AsyncIterator[Add]:
    """Add jobs by ``enqueue``; it blocks, so 100 callers add one after the other."""
    queue = Queue(config.queue, connection=Redis(port=config.port))

    async def add(payload: Payload, _delay_s: float) -> object:
        return queue.enqueue("bench.subjects.rq.noop", payload, result_ttl=0)

    yield add


def work(config: Config, on_job: OnJob) -> None:
    """Run jobs that do nothing."""
    # rq finds a job by its module, and this one runs under another name.
    import_module("bench.subjects.rq")._heard.append(on_job)  # noqa: SLF001
    connection = Redis(port=config.port)
    SimpleWorker([Queue(config.queue, connection=connection)], connection=connection).work(logging_level="ERROR")


if __name__ == "__main__":
    main(producer, work)
