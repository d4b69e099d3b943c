"""What a worker process holds in memory: after its start, and while it runs job after job."""

import time
from collections.abc import Callable, Iterator
from statistics import linear_regression

from redis import Redis

from bench.process_cost import Memory, memory
from bench.report import Report, Target, medians
from bench.server import Server
from bench.subject import CORRAL_WORKER, NODE_BULLMQ, PIPELINING, STOCK, Subject, SubjectFailedError, spend, staying
from bench.subjects.harness import Config

NAME = "memory"
_SUBJECTS = (CORRAL_WORKER, STOCK, NODE_BULLMQ)
_QUEUE = "bench"
_LISTS, _SETS = ("wait", "active", "paused"), ("prioritized", "delayed")
# An interpreter that has just started or worked still gives memory back.
_SETTLE_S = 1.0
_LIMIT_S = 120.0
Sample = tuple[str, str, str, float, str]


def run(server: Server, *, quick: bool) -> Report:
    """Measure the workers in turns: idle, and each time a step of jobs has been done."""
    rounds, steps, jobs = (1, 2, 200) if quick else (3, 10, 10_000)
    samples = [
        sample for _ in range(rounds) for subject in _SUBJECTS for sample in _measured(server, subject, steps, jobs)
    ]
    report = Report(NAME, medians(samples))
    idle_mb = report.find(CORRAL_WORKER.title, "idle", "RSS")
    growth_mb = report.find(CORRAL_WORKER.title, f"after {steps * jobs:,} jobs", "growth")
    report.targets = [
        Target("idle", "MB of Corral's idle worker process (RSS)", idle_mb, 70, "<="),
        Target("flat", "MB that 10,000 more jobs add to it (slope of RSS)", growth_mb, 0.1, "<="),
    ]
    return report


def _measured(server: Server, subject: Subject, steps: int, jobs: int) -> Iterator[Sample]:
    server.empty()
    config = Config(server.port, _QUEUE, jobs=jobs, warm_up=0, concurrency=10)
    with Redis(port=server.port, decode_responses=True) as look, staying(subject, config) as process:
        _wait(subject, lambda: _reads(look))
        yield from _samples(subject, "idle", memory(process))
        resident = []
        for _ in range(steps):
            spend(PIPELINING, "fill", config)
            _wait(subject, lambda: not _left(look))
            resident.append(memory(process))
        assert not look.exists(f"bull:{_QUEUE}:failed"), f"{subject.title} fails its jobs"
    for step in (1, steps):
        yield from _samples(subject, f"after {step * jobs:,} jobs", resident[step - 1])
    slope = linear_regression(range(steps), [each.rss_mb for each in resident]).slope
    yield subject.title, f"after {steps * jobs:,} jobs", "growth", slope, f"MB/{jobs:,} jobs"


def _samples(subject: Subject, case: str, found: Memory) -> Iterator[Sample]:
    for metric, value_mb in (("RSS", found.rss_mb), ("PSS", found.pss_mb), ("USS", found.uss_mb)):
        yield subject.title, case, metric, value_mb, "MB"


def _reads(look: "Redis") -> bool:
    return any(client["cmd"] == "bzpopmin" for client in look.client_list())


def _left(look: "Redis") -> int:
    lists = sum(int(look.llen(f"bull:{_QUEUE}:{name}")) for name in _LISTS)
    return lists + sum(int(look.zcard(f"bull:{_QUEUE}:{name}")) for name in _SETS)


def _wait(subject: Subject, condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + _LIMIT_S
    while not condition():
        if time.monotonic() > limit:
            raise SubjectFailedError(f"{subject.title} has not come to rest within {_LIMIT_S:g} s")
        time.sleep(0.05)
    time.sleep(_SETTLE_S)
