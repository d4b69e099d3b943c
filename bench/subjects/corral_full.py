"""Corral as it is deployed: envelope, validation, log line, metrics, locks, on the product's own connection."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bullmq import Queue
from pydantic import BaseModel

from bench.subjects.harness import Add, Config, OnJob, Payload, main
from producers import connection, log
from producers.engine.jobs import Engine
from producers.engine.new_job import NewJob
from producers.trace import Off
from schemas import job_id
from schemas.envelope import Envelope
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
async def producer(config: Config) -> AsyncIterator[Add]:
    """Add jobs by the API's own way, without HTTP."""
    spec = JobSpec(kind=f"{config.queue}.noop", payload=Noop, result=Done)
    async with connection.fail_fast(config.url, timeout_s=5) as redis:
        engine = Engine(redis, prefix="bull", keep_finished_s=60)

        delayed = Queue(config.queue, {"connection": redis})

        async def add(payload: Payload, delay_s: float) -> object:
            data = Envelope().wrap(Noop(**payload))
            if delay_s:
                # Only the engine's own producers add delayed jobs; what is measured then is the worker.
                return await delayed.add(spec.kind, data, {"delay": round(delay_s * 1000)})
            return await engine.add(NewJob(id=job_id.new(config.queue), spec=spec, data=data))

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
