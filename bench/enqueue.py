"""How fast one producer process adds jobs: one after the other, and a hundred at once."""

from bench.report import Report, Target, medians
from bench.server import Server
from bench.subject import ALL, CORRAL_CALLBACK, CORRAL_ENGINE, CORRAL_FULL, CORRAL_KEYED, NODE_BULLMQ, measure
from bench.subjects.harness import Config

NAME = "enqueue"
_SUBJECTS = (CORRAL_FULL, CORRAL_KEYED, CORRAL_CALLBACK, *ALL[1:])


def run(server: Server, *, quick: bool) -> Report:
    """Measure every subject's producer, in turns, several rounds."""
    rounds, jobs = (1, 200) if quick else (5, 10_000)
    samples = []
    for _ in range(rounds):
        for subject in _SUBJECTS:
            server.empty()
            config = Config(server.port, "bench", jobs=max(100, round(jobs * subject.share)), warm_up=50, concurrency=1)
            for found in measure(subject, "enqueue", config):
                samples.append((subject.title, found["case"], "rate", found["rate"], "jobs/s"))
                samples.append((subject.title, found["case"], "CPU", found["cpu_us"], "us/job"))
                samples.append((subject.title, found["case"], "server CPU", found["server_cpu_us"], "us/job"))
    report = Report(NAME, medians(samples))
    node = report.find(NODE_BULLMQ.title, "concurrent", "rate")
    report.targets = [
        Target(
            f"{subject.name}-node",
            f"rate of {subject.title} / {NODE_BULLMQ.title}, concurrent",
            report.find(subject.title, "concurrent", "rate") / node,
            2.0,
            ">=",
        )
        for subject in (CORRAL_ENGINE, CORRAL_FULL)
    ]
    return report
