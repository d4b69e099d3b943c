"""What an API process counts."""

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector

from schemas.job_spec import Catalogue

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class ApiMetrics:
    """The API's series, in a registry of their own."""

    def __init__(self, catalogue: Catalogue) -> None:
        """Show every kind from the start, so that a rate needs no first job to exist."""
        self.registry = CollectorRegistry()
        self.enqueued = Counter(
            "corral_jobs_enqueued_total",
            "Jobs that this process has put into a queue.",
            ["kind"],
            registry=self.registry,
        )
        self.requests = Histogram(
            "corral_api_request_seconds",
            "Time from a request to the first byte of its answer.",
            ["method", "route", "status"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        # Memory, CPU and open files of this process.
        ProcessCollector(registry=self.registry)
        for kind in catalogue:
            self.enqueued.labels(kind=kind)
