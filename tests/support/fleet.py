"""A worker in the test's own process: real engine, real attempt, handlers of the test's own."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from bullmq import Queue
from pydantic import BaseModel, ConfigDict
from redis.asyncio import Redis

from producers import connection
from producers.engine.jobs import Engine, NewJob
from schemas import job_id as ids
from schemas.envelope import Envelope
from schemas.job_spec import AnySpec, JobSpec, RetryPolicy
from schemas.job_status import JobRecord
from tests.support.until import until
from worker.attempt import Attempt
from worker.consumer import BLOCK_S, Consumer
from worker.consumer_options import ConsumerOptions
from worker.interim import Interim
from worker.metrics import WorkerMetrics
from worker.ports import JobContext
from worker.registry import Entry, Registry
from worker.runner import Runner

QUEUE = "trials"
LOCK_S = 2.0
_STOP_S = 5.0


class Trial(BaseModel):
    """The payload of the tests' kinds; its text is what no log may show."""

    model_config = ConfigDict(extra="forbid")

    text: str = ""
    number: int = 0


class Verdict(BaseModel):
    """The result of the tests' kinds."""

    text: str = ""
    ratio: float = 1.0


Handle = Callable[[Any, JobContext], Awaitable[BaseModel]]


def spec(verb: str = "run", **changes: Any) -> AnySpec:  # noqa: ANN401 - as JobSpec takes them
    """A kind of the tests' queue, retried at once."""
    given = {"retry": RetryPolicy(attempts=3, base_s=0.02), **changes}
    return JobSpec(kind=f"{QUEUE}.{verb}", payload=Trial, result=Verdict, **given)


async def succeed(payload: Trial, _job: JobContext) -> Verdict:
    """Do what is asked: nothing."""
    return Verdict(text=payload.text.upper())


async def hang(_payload: Trial, _job: JobContext) -> Verdict:
    """Never end by itself."""
    await asyncio.Event().wait()
    return Verdict()


def raising(error: BaseException) -> Handle:
    """Make a handler that raises."""

    async def fail(_payload: Trial, _job: JobContext) -> Verdict:
        raise error

    return fail


@dataclass
class Seen:
    """A handler that notes each run and then does what the next ``steps`` say, the last one for ever."""

    steps: list[Handle] = field(default_factory=lambda: [succeed])
    runs: list[JobContext] = field(default_factory=list)

    async def __call__(self, payload: Trial, job: JobContext) -> BaseModel:
        """Note the run and take the next step."""
        self.runs.append(job)
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        return await step(payload, job)


def entry(handle: Handle, kind: AnySpec | None = None, *ports: type) -> Entry:
    """Tie a handler to a kind."""
    return Entry(kind or spec(), handle, frozenset(ports))


@dataclass
class Fleet:
    """Adds jobs, looks at them, and runs workers."""

    redis: Redis
    engine: Engine

    @property
    def url(self) -> str:
        """Where the server is."""
        return f"unix://{self.redis.connection_pool.connection_kwargs['path']}"

    async def add(self, kind: AnySpec, payload: BaseModel, parent: NewJob | None = None, **envelope: Any) -> str:  # noqa: ANN401 - fields of the envelope
        """Add a job as the API does and give its public id."""
        job = NewJob(ids.new(kind.queue), kind, Envelope(**envelope).wrap(payload), parent)
        await self.engine.add(job)
        return job.id

    async def add_raw(
        self,
        data: Any = None,  # noqa: ANN401 - as anybody adds
        *,
        name: str = "run",
        queue: str = QUEUE,
        **options: Any,  # noqa: ANN401 - as anybody adds
    ) -> str:
        """Add a job as a plain bullmq program does and give its public id."""
        job = await Queue(queue, {"connection": self.redis}).add(name, {} if data is None else data, options)
        return ids.public(queue, job.id)

    async def job(self, job_id: str) -> JobRecord:
        """Look at a job that must be there."""
        found = await self.engine.read(job_id)
        assert found is not None, f"{job_id} is gone"
        return found

    async def ended(self, job_id: str, *, within_s: float = 10.0) -> JobRecord:
        """Wait for a job's end."""

        async def look() -> JobRecord | None:
            found = await self.job(job_id)
            return found if found.status.state.final and found.status.finished_at else None

        found = await until(look, within_s=within_s)
        assert found is not None
        return found

    async def raw(self, job_id: str, queue: str = QUEUE) -> dict[str, str]:
        """Give a job's hash as the server has it."""
        for engine_id in ids.engine_ids(job_id):
            if found := await self.redis.hgetall(f"bull:{queue}:{engine_id}"):
                return {str(name): str(value) for name, value in found.items()}
        return {}

    @asynccontextmanager
    async def worker(
        self,
        *entries: Entry,
        ports: Mapping[type, object] | None = None,
        client: Callable[[], Redis] | None = None,
        lock_s: float = LOCK_S,
        concurrency: int = 20,
    ) -> AsyncIterator[Runner]:
        """Run a worker for the queues of these entries; it ends by itself only when it is broken."""
        registry = Registry(entries)
        attempt = Attempt(registry, ports or {}, WorkerMetrics(registry), random.Random(7))  # noqa: S311 - jitter
        telling = Interim(attempt, self.redis, prefix="bull")
        clients, runners = [], []
        for queue in registry.queues:
            redis = client() if client else connection.patient(self.url, block_s=BLOCK_S)
            options = ConsumerOptions(
                queue=queue,
                prefix="bull",
                name="test",
                lock_s=lock_s,
                crashes=registry.crashes(queue),
                keep_finished_s=3600,
            )
            clients.append(redis)
            runners.append(Runner(Consumer(redis, options), telling, concurrency=concurrency))
        runs = [asyncio.create_task(runner.run()) for runner in runners]
        try:
            yield runners[0]
            assert not any(run.done() and run.exception() for run in runs), runs
        finally:
            for runner in runners:
                runner.stop()
            for run in runs:
                run.cancel()
            _, endless = await asyncio.wait(runs, timeout=_STOP_S)
            await telling.settle()
            if endless:
                for task in asyncio.all_tasks():
                    task.print_stack()
            for redis in clients:
                await redis.aclose()
            assert not endless, "the worker does not end when it is cancelled"
