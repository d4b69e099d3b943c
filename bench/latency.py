"""How late jobs begin: from ``add`` to the handler at 50 jobs/s, and delayed jobs after their time."""

import threading

from bench.report import Report, Target, medians
from bench.server import Server
from bench.subject import ALL, BULLMQ, CORRAL_FULL, NODE_BULLMQ, Subject, SubjectFailedError, measure, spend
from bench.subjects.harness import Config

NAME = "latency"
_DELAY_S = 0.5
_CLOCK_MS = 2.0  # by which the clocks of two processes on one machine may seem to differ


def run(server: Server, *, quick: bool) -> Report:
    """Measure every subject, in turns, several rounds; delayed jobs with those that have them alike."""
    rounds, jobs = (1, 40) if quick else (5, 200)
    samples = []
    for _ in range(rounds):
        for case, delay_s, subjects in (("add to start", 0.0, ALL), ("delayed", _DELAY_S, BULLMQ)):
            for subject in subjects:
                samples += _measured(server, subject, case, Config(server.port, "bench", jobs, 10, 10, 50.0, delay_s))
    report = Report(NAME, medians(samples))
    report.targets = [
        Target(f"{metric}-node", f"{metric} of Corral / Node, add to start", ours / node, 1.0, "<=")
        for metric in ("p50", "p99")
        for ours in [report.find(CORRAL_FULL.title, "add to start", metric)]
        for node in [report.find(NODE_BULLMQ.title, "add to start", metric)]
    ]
    for metric, limit_ms in (("p50", 50.0), ("p99", 150.0)):
        late_ms = report.find(CORRAL_FULL.title, "delayed", metric)
        report.targets.append(
            Target(f"delayed-{metric}", f"ms that delayed jobs are late at {metric}", late_ms, limit_ms, "<=")
        )
    return report


def _measured(server: Server, subject: Subject, case: str, config: Config) -> list[tuple[str, str, str, float, str]]:
    server.empty()
    adding = threading.Thread(target=spend, args=(subject, "pace", config))
    adding.start()
    found = list(measure(subject, "work", config))
    adding.join()
    if any(one["p50_ms"] < -_CLOCK_MS for one in found):
        raise SubjectFailedError(f"{subject.title} ran jobs before their time")
    return [(subject.title, case, name, one[f"{name}_ms"], "ms") for one in found for name in ("p50", "p99")]
