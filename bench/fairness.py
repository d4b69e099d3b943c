"""What a small tenant waits behind a large one, and what fairness costs; the plain line and the fair one in turns."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import uvloop
from pydantic import BaseModel
from redis import Redis as BlockingRedis
from redis.asyncio import Redis

from bench.in_process_worker import working
from bench.report import Report, Target, medians
from bench.server import Server
from producers import connection, log
from producers.engine.fairness import Fairness
from producers.engine.jobs import Engine, NewJob, Tenants
from producers.engine.new_job import Parent
from producers.tenants.ledger import TenantLedger
from schemas import job_id as ids
from schemas.envelope import Envelope
from schemas.job_spec import JobSpec
from schemas.settings import LogSettings
from worker.ports import JobContext

NAME = "fairness"
_SUBJECTS = ("plain", "fair", "fair, with limits")
_IN_FLIGHT = 100
_SMALL = 10
_WAYS = ("small tenant", "small tenant's children")
_BEFORE = 0.05  # of the large tenant's jobs have run when the small one comes


class Nothing(BaseModel):
    """A job that does nothing, or waits."""

    pad: str = "x" * 55


class Done(BaseModel):
    """What it gives."""


SPEC = JobSpec(kind="bench.noop", payload=Nothing, result=Done)
_PARENT = JobSpec(kind="parents.wait", payload=Nothing, result=Done)
Sample = tuple[str, str, str, float, str]


def run(server: Server, *, quick: bool) -> Report:
    """Measure the three ways of adding, several rounds."""
    rounds, jobs = (1, 300) if quick else (5, 10_000)
    log.configure(LogSettings(log_format="json", log_level="error"))
    samples: list[Sample] = []
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for _ in range(rounds):
            for subject in _SUBJECTS:
                server.empty()
                samples += runner.run(_round(server, subject, jobs))
    report = Report(NAME, medians(samples))
    report.targets = [*_starts(report, jobs), *_costs(report)]
    return report


def _starts(report: Report, jobs: int) -> Iterator[Target]:
    for target, way in zip(("start", "start-children"), _WAYS, strict=True):
        late_s = report.find("fair", way, "last start")
        yield Target(target, f"s until {_SMALL} jobs of the {way} have started behind {jobs:,}", late_s, 1.0, "<=")


def _costs(report: Report) -> Iterator[Target]:
    for case in ("enqueue", "work"):
        ratio = report.find("fair", case, "rate") / report.find("plain", case, "rate")
        yield Target(f"{case}-rate", f"rate of {case}, fair / plain", ratio, 0.8, ">=")


@dataclass
class _Bench:
    """One server's side of a round."""

    url: str
    subject: str
    started: list[float] = field(default_factory=list)

    @asynccontextmanager
    async def engine(self) -> AsyncIterator[Engine]:
        async with connection.fail_fast(self.url, timeout_s=10) as redis:
            yield Engine(redis, prefix="bull", keep_finished_s=60, tenants=self._tenants(redis))

    def _tenants(self, redis: Redis) -> Tenants:
        match self.subject:
            case "plain":
                return Tenants()
            case "fair":
                return Tenants(Fairness(redis))
            case _:
                return Tenants(Fairness(redis), TenantLedger(redis, "bull"))

    @asynccontextmanager
    async def worker(self, wait: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
        async def handle(_payload: Nothing, job: JobContext) -> Done:
            if job.tenant == "small":
                self.started.append(time.monotonic())
            await wait()
            return Done()

        async with working(self.url, SPEC, handle, keep_finished_s=60):
            yield


async def _round(server: Server, subject: str, jobs: int) -> list[Sample]:
    url = f"redis://127.0.0.1:{server.port}/0"
    bench = _Bench(url, subject)
    samples: list[Sample] = []
    with BlockingRedis(port=server.port) as look:
        async with bench.engine() as engine:
            samples += await _measured(look, subject, "enqueue", jobs, lambda: _fill(engine, "large", jobs))

            async def none() -> None:
                return

            async def work() -> None:
                async with bench.worker(none):
                    await _ended(look, jobs)

            samples += await _measured(look, subject, "work", jobs, work)
            for way, add in zip(_WAYS, (_fill, _fan_out), strict=True):
                server.empty()
                await _fill(engine, "large", jobs)
                first_s, last_s = await _small(
                    _Bench(url, subject), look, jobs, lambda add=add: add(engine, "small", _SMALL)
                )
                samples += [(subject, way, "first start", first_s, "s"), (subject, way, "last start", last_s, "s")]
    return samples


async def _small(
    bench: _Bench, look: BlockingRedis, jobs: int, add: Callable[[], Awaitable[None]]
) -> tuple[float, float]:
    """Ten jobs behind all the others, on a worker whose jobs take 5 ms: 4,000 a second at the most."""
    async with bench.worker(lambda: asyncio.sleep(0.005)):
        await _ended(look, round(jobs * _BEFORE))
        added = time.monotonic()
        await add()
        await _until(lambda: len(bench.started) >= _SMALL)
    return bench.started[0] - added, bench.started[_SMALL - 1] - added


async def _measured(
    look: BlockingRedis, subject: str, case: str, jobs: int, deed: Callable[[], Awaitable[None]]
) -> list[Sample]:
    server_us, own_s, begun = _used_us(look), time.process_time(), time.monotonic()
    await deed()
    took_s = time.monotonic() - begun
    return [
        (subject, case, "rate", jobs / took_s, "jobs/s"),
        (subject, case, "CPU", (time.process_time() - own_s) / jobs * 1e6, "us/job"),
        (subject, case, "server CPU", (_used_us(look) - server_us) / jobs, "us/job"),
    ]


async def _fill(engine: Engine, tenant: str, jobs: int) -> None:
    data = Envelope(tenant=tenant).wrap(Nothing())
    left = iter(range(jobs))

    async def add() -> None:
        for _ in left:
            await engine.add(NewJob(ids.new("bench"), SPEC, data))

    await asyncio.gather(*(add() for _ in range(_IN_FLIGHT)))


async def _fan_out(engine: Engine, tenant: str, jobs: int) -> None:
    """Add jobs as the children of one that nobody here runs."""
    data = Envelope(tenant=tenant).wrap(Nothing())
    parent = NewJob(ids.new(_PARENT.queue), _PARENT, data)
    await engine.add(parent)
    above = Parent(parent.id, f"bull:{_PARENT.queue}")
    await engine.add_children([NewJob(ids.new("bench"), SPEC, data, child_of=above) for _ in range(jobs)])


async def _ended(look: BlockingRedis, jobs: int) -> None:
    await _until(lambda: int(look.zcard("bull:bench:completed")) >= jobs)


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what is looked at is in the server
        await asyncio.sleep(0.005)


def _used_us(look: BlockingRedis) -> float:
    used = look.info("cpu")
    return float(used["used_cpu_user"] + used["used_cpu_sys"]) * 1e6
