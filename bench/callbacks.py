"""How fast one worker process delivers callbacks, how soon after a job's end, and what a dead endpoint costs others.

All with real parts: jobs with callbacks as the API adds them, ``python -m worker callbacks``, a receiver in a
process of its own. The floor is plain httpx: the same bodies, signed, and no queue.
"""

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import uvloop
from pydantic import BaseModel
from redis import Redis as BlockingRedis

from bench.callbacks_process import Fleet, cpu_s
from bench.in_process_worker import working
from bench.report import Report, Target, medians
from bench.server import Server
from bench.subject import SubjectFailedError
from corral.stack import free_port
from producers import connection, log
from producers.engine.jobs import Engine, NewJob
from producers.engine.notice import callback_id
from schemas import job_id as ids
from schemas.envelope import Callback, Envelope
from schemas.job_spec import JobSpec
from schemas.jobs.callbacks import DELIVER, DeliverCallback
from schemas.settings import LogSettings

NAME = "callbacks"
_CORRAL, _FLOOR = "Corral, one worker process", "plain httpx, no queue"
_IN_FLIGHT = 100
_WARM_UP = 0.1
# Ten minutes of outage, and the schedule of retries that outlives them, in a 120th of the time.
_FACTOR = 120.0
_DOWN_S = 600.0 / _FACTOR
_PER_S = 50.0
_WITHIN_S = 600.0
Sample = tuple[str, str, str, float, str]


class Nothing(BaseModel):
    """A job that does nothing, and its result."""

    pad: str = "x" * 55


SPEC = JobSpec(kind="bench.noop", payload=Nothing, result=Nothing)
_UPLOAD = {"payload": {"source": {"file": f"sha256-{'0' * 64}"}}}


def run(server: Server, *, quick: bool) -> Report:
    """Measure rate and latency in turns, several rounds, and one outage."""
    rounds, callbacks, paced = (1, 300, 50) if quick else (3, 10_000, 250)
    log.configure(LogSettings(log_format="json", log_level="error"))
    samples: list[Sample] = []
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, tempfile.TemporaryDirectory() as folder:
        bench = _Bench(server, Fleet.on(server, Path(folder)))
        for _ in range(rounds):
            samples += runner.run(bench.rate(callbacks))
            samples += runner.run(bench.idle(paced))
        samples += runner.run(bench.outage(callbacks))
    report = Report(NAME, medians(samples))
    report.targets = list(_targets(report, callbacks))
    return report


def _targets(report: Report, callbacks: int) -> Iterator[Target]:
    rate, floor = report.find(_CORRAL, "rate", "rate"), report.find(_FLOOR, "rate", "rate")
    slower = report.find(_CORRAL, "outage", "api p99") / report.find(_CORRAL, "idle", "api p99")
    outage = {name: report.find(_CORRAL, "outage", name) for name in ("settled", "busiest second", "p99")}
    yield Target("rate", "callbacks/s of one worker process", rate, 1500, ">=")
    yield Target("floor", "its rate / that of plain httpx", rate / floor, 0.5, ">=")
    yield Target("latency", "ms from job end to receipt, p99, idle", report.find(_CORRAL, "idle", "p99"), 50, "<=")
    yield Target("settled", "callbacks received after the outage", outage["settled"], callbacks, ">=")
    yield Target("herd", "share of them in the busiest second", outage["busiest second"], 0.4, "<=")
    yield Target("beside", "ms to another endpoint in the outage, p99", outage["p99"], 50, "<=")
    yield Target("api", "the API's p99 in the outage / before", slower, 2, "<=")


class _Bench:
    """One server, and what is measured on it."""

    def __init__(self, server: Server, fleet: Fleet) -> None:
        self._server = server
        self._fleet = fleet
        self._look = BlockingRedis(port=server.port)

    async def rate(self, callbacks: int) -> list[Sample]:
        """All are due when the worker starts; then plain httpx sends as many."""
        self._server.empty()
        with self._fleet.receiver() as receiver:
            async with self._engine() as engine, self._jobs_done():
                await _add(engine, receiver.url, callbacks)
                await _until(lambda: self._count("bench:completed") >= callbacks)
            with self._fleet.worker() as worker:
                await _until(lambda: self._delivered >= callbacks * _WARM_UP)
                begun, used_s = self._delivered, cpu_s(worker)
                await _until(lambda: self._delivered >= callbacks)
                cpu_us = (cpu_s(worker) - used_s) / (callbacks - begun) * 1e6
            found = receiver.received()
            if found["ids"] != callbacks:
                raise SubjectFailedError(f"{found['ids']} of {callbacks} callbacks came")
            ours = [*_rate(_CORRAL, found["at"]), (_CORRAL, "rate", "CPU", cpu_us, "us/callback")]
            ours.append((_CORRAL, "rate", "connections", found["connections"], ""))
            cpu_us = self._fleet.floor(receiver.url, callbacks, found["last"]["body"])
            floor = [*_rate(_FLOOR, receiver.received()["at"]), (_FLOOR, "rate", "CPU", cpu_us, "us/callback")]
        return [*ours, *floor]

    async def idle(self, jobs: int) -> list[Sample]:
        """One job after the other, with time in between; and requests to the API."""
        self._server.empty()
        with self._fleet.receiver() as receiver, self._fleet.worker(), self._fleet.api():
            async with self._engine() as engine, self._jobs_done():
                await _add(engine, receiver.url, 20)
                await _until(lambda: self._delivered >= 20)
                receiver.received()
                api_ms, _ = await asyncio.gather(self._ask(jobs), _pace(engine, receiver.url, jobs))
                await _until(lambda: self._delivered >= 20 + jobs)
            late_ms = receiver.received()["late_ms"]
        return [*_late("idle", late_ms), (_CORRAL, "idle", "api p99", _at(0.99, api_ms), "ms")]

    async def outage(self, callbacks: int) -> list[Sample]:
        """One endpoint refuses connections for a while; another one and the API are used meanwhile."""
        self._server.empty()
        port, jobs = free_port(), round(_DOWN_S * _PER_S)
        sooner = ("bench.subjects.callbacks_sooner", str(_FACTOR))
        with self._fleet.receiver() as beside, self._fleet.worker(*sooner), self._fleet.api():
            async with self._engine() as engine, self._jobs_done():
                await _add(engine, beside.url, 20)
                await _until(lambda: self._delivered >= 20)
                beside.received()
                down_until = time.monotonic() + _DOWN_S
                await _add(engine, f"http://127.0.0.1:{port}", callbacks)
                api_ms, _ = await asyncio.gather(self._ask(jobs), _pace(engine, beside.url, jobs))
                await asyncio.sleep(max(0.0, down_until - time.monotonic()))
                with self._fleet.receiver(port) as receiver:
                    await _until(lambda: self._delivered >= 20 + jobs + callbacks)
                    found = receiver.received()
            late_ms = beside.received()["late_ms"]
        busiest = max(Counter(int(moment) for moment in found["at"]).values()) / callbacks
        return [
            *_late("outage", late_ms),
            (_CORRAL, "outage", "api p99", _at(0.99, api_ms), "ms"),
            (_CORRAL, "outage", "settled", found["ids"], "callbacks"),
            (_CORRAL, "outage", "busiest second", busiest, "of all"),
        ]

    @property
    def _delivered(self) -> int:
        return self._count("callbacks:completed")

    def _count(self, key: str) -> int:
        return int(self._look.zcard(f"bull:{key}"))

    @asynccontextmanager
    async def _engine(self) -> AsyncIterator[Engine]:
        async with connection.fail_fast(self._fleet.redis_url, timeout_s=10) as redis:
            yield Engine(redis, prefix="bull", keep_finished_s=3600)

    @asynccontextmanager
    async def _jobs_done(self) -> AsyncIterator[None]:
        """Run, in this process, a worker for the jobs that callbacks are about."""

        async def handle(payload: Nothing, _job: object) -> Nothing:
            return payload

        async with working(self._fleet.redis_url, SPEC, handle, keep_finished_s=3600):
            yield

    async def _ask(self, requests: int) -> list[float]:
        took_ms = []
        async with httpx.AsyncClient(base_url=self._fleet.api_url, trust_env=False) as api:
            for _ in range(requests):
                begun = time.perf_counter()
                (await api.post("/v1/jobs/documents.convert", json=_UPLOAD)).raise_for_status()
                took_ms.append((time.perf_counter() - begun) * 1000)
                await asyncio.sleep(max(0.0, 1 / _PER_S - took_ms[-1] / 1000))
        return took_ms


async def _add(engine: Engine, url: str, jobs: int) -> None:
    left = iter(range(jobs))

    async def add() -> None:
        for _ in left:
            await _add_one(engine, url)

    await asyncio.gather(*(add() for _ in range(_IN_FLIGHT)))


async def _add_one(engine: Engine, url: str) -> None:
    """Add a job with a callback, as the API does."""
    job_id, callback = ids.new(SPEC.queue), Callback.model_validate({"url": url})
    notice = DeliverCallback(job_id=job_id, kind=SPEC.kind, callback=callback)
    parent = NewJob(callback_id(job_id), DELIVER, Envelope().wrap(notice))
    await engine.add(NewJob(job_id, SPEC, Envelope(callback=callback).wrap(Nothing()), parent))


async def _pace(engine: Engine, url: str, jobs: int) -> None:
    begun = time.monotonic()
    for number in range(jobs):
        await asyncio.sleep(max(0.0, begun + number / _PER_S - time.monotonic()))
        await _add_one(engine, url)


async def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _WITHIN_S
    while not condition():
        if time.monotonic() > deadline:
            raise SubjectFailedError(f"not within {_WITHIN_S:g} s")
        await asyncio.sleep(0.01)


def _rate(subject: str, at: list[float]) -> list[Sample]:
    measured = at[round(len(at) * _WARM_UP) :]
    return [(subject, "rate", "rate", (len(measured) - 1) / (measured[-1] - measured[0]), "callbacks/s")]


def _late(case: str, late_ms: list[float]) -> list[Sample]:
    return [(_CORRAL, case, f"p{share:.0%}".removesuffix("%"), _at(share, late_ms), "ms") for share in (0.5, 0.99)]


def _at(share: float, values: list[float]) -> float:
    return sorted(values)[int(len(values) * share)]
