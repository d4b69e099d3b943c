"""What a worker process counts."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

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
        for kind in registry.kinds:
            self.running.labels(kind=kind)
            self.attempts.labels(kind=kind, outcome="completed", code="")

    def ended(self, kind: str | None, outcome: str, code: str, *, run_s: float, waited_s: float | None) -> None:
        """Count an attempt. ``kind`` is None when nobody knows it, ``waited_s`` when nobody knows that."""
        # Names come from whoever adds jobs: without a bound they would fill the memory of Prometheus.
        kind = kind or _UNKNOWN_KIND
        self.attempts.labels(kind=kind, outcome=outcome, code=code).inc()
        self.run_s.labels(kind=kind).observe(run_s)
        if waited_s is not None:
            self.waited_s.labels(kind=kind).observe(waited_s)
