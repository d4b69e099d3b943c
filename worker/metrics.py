"""What a worker process counts."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from worker.process_tree import ChildProcesses
from worker.registry import Registry

_RUN_S = (0.001, 0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900)
_WAIT_S = (0.005, 0.025, 0.1, 0.5, 1, 5, 30, 60, 300, 1800, 7200)
_UNKNOWN_KIND = "unknown"


class WorkerMetrics:
    """The worker's series, in a registry of their own."""

    def __init__(self, registry: Registry) -> None:
        """Show every kind from the start, so that a rate needs no first job to exist."""
        self.registry = CollectorRegistry()
        self.attempts = Counter(
            "corral_attempts_total",
            "Attempts that ended, by outcome and by the code of the error.",
            ["kind", "outcome", "code"],
            registry=self.registry,
        )
        self.running = Gauge("corral_attempts_running", "Attempts under way.", ["kind"], registry=self.registry)
        self.run_s = Histogram(
            "corral_attempt_seconds", "How long attempts ran.", ["kind"], buckets=_RUN_S, registry=self.registry
        )
        self.waited_s = Histogram(
            "corral_wait_seconds",
            "How long jobs lay in the queue before their first attempt.",
            ["kind"],
            buckets=_WAIT_S,
            registry=self.registry,
        )
        self.started = Counter(
            "corral_attempts_started_total", "Attempts that began.", ["kind"], registry=self.registry
        )
        self.callbacks = Counter(
            "corral_callbacks_total",
            "Tries to deliver a callback: `delivered`, `unwanted` by `events`, or the code of the error.",
            ["result"],
            registry=self.registry,
        )
        self.callback_s = Histogram(
            "corral_callback_seconds", "How long receivers took to accept.", buckets=_RUN_S, registry=self.registry
        )
        self.registry.register(ChildProcesses())
        # Memory, CPU and open files of this process.
        ProcessCollector(registry=self.registry)
        for kind in registry.kinds:
            self.started.labels(kind=kind)
            self.running.labels(kind=kind)
            self.attempts.labels(kind=kind, outcome="completed", code="")

    def begun(self, kind: str | None) -> None:
        """Count an attempt that begins."""
        self.started.labels(kind or _UNKNOWN_KIND).inc()

    def called_back(self, result: str, latency_s: float | None) -> None:
        """Count a try to deliver a callback."""
        self.callbacks.labels(result=result).inc()
        if latency_s is not None:
            self.callback_s.observe(latency_s)

    def ended(self, kind: str | None, outcome: str, code: str, *, run_s: float, waited_s: float | None) -> None:
        """Count an attempt. ``kind`` is None when nobody knows it, ``waited_s`` when nobody knows that."""
        # Names come from whoever adds jobs: without a bound they would fill the memory of Prometheus.
        kind = kind or _UNKNOWN_KIND
        self.attempts.labels(kind, outcome, code).inc()
        self.run_s.labels(kind).observe(run_s)
        if waited_s is not None:
            self.waited_s.labels(kind).observe(waited_s)
