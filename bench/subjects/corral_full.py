"""Corral as it is deployed: envelope, validation, log line, metrics, locks, on the product's own connection."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from pydantic import BaseModel

from bench.subjects.harness import Add, Config, OnJob, Payload, main
from producers import connection, log
from producers.enqueue import Enqueue, Order
from producers.settings import ApiSettings
from producers.tenants.tenancy import tenancy
from producers.trace import Off
from schemas.envelope import DEFAULT_TENANT
from schemas.job_spec import JobSpec
from schemas.settings import LogSettings
from worker.attempt import Attempt
from worker.consumer import BLOCK_S, Consumer
from worker.consumer_options import ConsumerOptions
from worker.metrics import WorkerMetrics
from worker.observed import Observed
from worker.registry import Entry, Registry
from worker.runner import Runner


class Noop(BaseModel):
    """A job that does nothing."""

    t: float
    pad: str


class Done(BaseModel):
    """What it gives."""


@asynccontextmanager
async def producer(config: Config, dress: Callable[[Order], Order] = lambda order: order) -> AsyncIterator[Add]:
    """Add jobs as the API does, without HTTP; ``dress`` gives an order what it has besides its payload."""
    spec = JobSpec(kind=f"{config.queue}.noop", payload=Noop, result=Done)
    async with connection.fail_fast(config.url, timeout_s=5) as redis:
        settings = ApiSettings(redis_url=config.url)
        engine, admission = tenancy(settings, redis, shared=settings.tenants_share)
        enqueue = Enqueue(engine, idempotency_s=3600, admission=admission)

        async def add(payload: Payload, delay_s: float) -> object:
            return await enqueue(dress(Order(spec, Noop(**payload), DEFAULT_TENANT, delay_s=delay_s)))

        yield add


async def work(config: Config, on_job: OnJob) -> None:
    """Run jobs that do nothing, as ``worker.app`` puts a worker together."""
    log.configure(LogSettings(log_format="json"))

    async def handle(payload: Noop, _job: object) -> Done:
        on_job({"t": payload.t})
        return Done()

    spec = JobSpec(kind=f"{config.queue}.noop", payload=Noop, result=Done)
    registry = Registry([Entry(spec, handle, frozenset())])
    metrics = WorkerMetrics(registry)
    attempt = Attempt(registry, {}, metrics, random.Random())  # noqa: S311 - jitter
    observed = Observed(attempt, registry, metrics, Off())
    async with connection.patient(config.url, block_s=BLOCK_S) as redis:
        options = ConsumerOptions(
            queue=config.queue, prefix="bull", name="bench", lock_s=10, crashes=3, keep_finished_s=60
        )
        await Runner(Consumer(redis, options), observed, concurrency=config.concurrency).run()


if __name__ == "__main__":
    main(producer, work)
