"""celery: a pool of threads on Redis, the one of its pools that is one process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from celery import Celery

from bench.subjects.harness import Add, Config, OnJob, Payload, main


def _app(config: Config, on_job: OnJob) -> tuple[Celery, Any]:
    app = Celery(broker=config.url)
    app.conf.update(task_default_queue=config.queue, task_ignore_result=True, worker_hijack_root_logger=False)

    @app.task(name="noop")
    def noop(carried: Payload) -> None:
        on_job(carried)

    return app, noop


@asynccontextmanager
async def producer(config: Config) -> AsyncIterator[Add]:
    """Add jobs by ``delay``; it blocks, so 100 callers add one after the other."""
    app, noop = _app(config, lambda _: None)

    async def add(payload: Payload, _delay_s: float) -> object:
        return noop.delay(payload)

    yield add
    app.close()


def work(config: Config, on_job: OnJob) -> None:
    """Run jobs that do nothing."""
    app, _ = _app(config, on_job)
    options = ["-P", "threads", "-c", str(config.concurrency), "-l", "ERROR"]
    app.worker_main(["worker", *options, "--without-gossip", "--without-mingle", "--without-heartbeat"])


if __name__ == "__main__":
    main(producer, work)
