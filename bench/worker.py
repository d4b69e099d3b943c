"""How fast one worker process runs jobs that do nothing, and what that costs it and the server."""

from collections.abc import Iterator

from bench.report import Report, Target, medians
from bench.server import Server
from bench.subject import ALL, CORRAL_ENGINE, CORRAL_FULL, NODE_BULLMQ, STOCK, Subject, measure, spend
from bench.subjects.harness import Config

NAME = "worker"
_CONCURRENCIES = (10, 100)


def run(server: Server, *, quick: bool) -> Report:
    """Measure every subject at each concurrency, in turns, several rounds."""
    concurrencies, rounds, jobs = ((10,), 1, 200) if quick else (_CONCURRENCIES, 5, 10_000)
    samples = [
        sample
        for _ in range(rounds)
        for concurrency in concurrencies
        for subject in ALL
        for sample in _measured(server, subject, concurrency, jobs)
    ]
    report = Report(NAME, medians(samples))
    report.targets = [target for concurrency in concurrencies for target in _targets(report, concurrency)]
    return report


def _measured(
    server: Server, subject: Subject, concurrency: int, jobs: int
) -> Iterator[tuple[str, str, str, float, str]]:
    jobs = max(100, round(jobs * subject.share))
    config = Config(server.port, "bench", jobs=jobs, warm_up=jobs // 10, concurrency=concurrency)
    server.empty()
    spend(subject, "fill", config)
    for found in measure(subject, "work", config):
        case = f"c={concurrency}"
        yield subject.title, case, "rate", found["rate"], "jobs/s"
        yield subject.title, case, "worker CPU", found["cpu_us"], "us/job"
        yield subject.title, case, "server CPU", found["server_cpu_us"], "us/job"


def _targets(report: Report, concurrency: int) -> Iterator[Target]:
    case, at = f"c={concurrency}", f"c{concurrency}"

    def ratio(one: Subject, other: Subject, metric: str) -> float:
        return report.find(one.title, case, metric) / report.find(other.title, case, metric)

    engine_rate = 1.0 if concurrency < 100 else 1.2
    wanted = [
        ("engine-cpu-node", CORRAL_ENGINE, NODE_BULLMQ, "worker CPU", "<=", 0.5),
        ("engine-cpu-stock", CORRAL_ENGINE, STOCK, "worker CPU", "<=", 0.1),
        ("engine-rate-node", CORRAL_ENGINE, NODE_BULLMQ, "rate", ">=", engine_rate),
        ("engine-rate-stock", CORRAL_ENGINE, STOCK, "rate", ">=", 5.0),
        ("full-cpu-node", CORRAL_FULL, NODE_BULLMQ, "worker CPU", "<=", 1.0),
        ("full-rate-node", CORRAL_FULL, NODE_BULLMQ, "rate", ">=", 0.9),
    ]
    for name, one, other, metric, sense, target in wanted:
        label = f"{metric} of {one.title} / {other.title} at {case}"
        yield Target(f"{name}-{at}", label, ratio(one, other, metric), target, sense)
    added_us = report.find(CORRAL_FULL.title, case, "worker CPU") - report.find(CORRAL_ENGINE.title, case, "worker CPU")
    yield Target(f"attempt-cpu-{at}", f"us of CPU that the product adds to the engine at {case}", added_us, 30, "<=")
