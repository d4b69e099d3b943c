"""What a worker process counts."""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from worker.attempt_counts import RUN_S, AttemptCounts
from worker.process_tree import ChildProcesses
from worker.registry import Registry

_UNKNOWN_KIND = "unknown"


class WorkerMetrics:
    """The worker's series, in a registry of their own.

    A ``kind`` is None when nobody knows it. Names come from whoever adds jobs: without a bound they would
    fill the memory of Prometheus.
    """

    def __init__(self, registry: Registry) -> None:
        """Begin to count."""
        self.registry = CollectorRegistry()
        self._attempts = AttemptCounts(registry.kinds)
        self._callbacks = Counter(
            "corral_callbacks_total",
            "Tries to deliver a callback: `delivered`, `unwanted` by `events`, or the code of the error.",
            ["result"],
            registry=self.registry,
        )
        self._callback_s = Histogram(
            "corral_callback_seconds", "How long receivers took to accept.", buckets=RUN_S, registry=self.registry
        )
        self.registry.register(self._attempts)
        self.registry.register(ChildProcesses())
        # Memory, CPU and open files of this process.
        ProcessCollector(registry=self.registry)

    def show_reads(self, reads: Callable[[], Mapping[str, bool]]) -> None:
        """Show of each queue whether it is being read, as ``reads`` says when somebody looks."""
        self.registry.register(_Reads(reads))

    def begun(self, kind: str | None) -> None:
        """Count an attempt that begins; ``left`` has to follow."""
        self._attempts.begun(kind or _UNKNOWN_KIND)

    def left(self, kind: str | None) -> None:
        """Count an attempt as no longer under way, however that came."""
        self._attempts.left(kind or _UNKNOWN_KIND)

    def ended(self, kind: str | None, outcome: str, code: str, *, run_s: float, waited_s: float | None) -> None:
        """Count an attempt that has an outcome. ``waited_s`` is None when nobody knows that."""
        self._attempts.ended(kind or _UNKNOWN_KIND, outcome, code, run_s=run_s, waited_s=waited_s)

    def called_back(self, result: str, latency_s: float | None) -> None:
        """Count a try to deliver a callback."""
        self._callbacks.labels(result=result).inc()
        if latency_s is not None:
            self._callback_s.observe(latency_s)


class _Reads(Collector):
    def __init__(self, reads: Callable[[], Mapping[str, bool]]) -> None:
        self._reads = reads

    def collect(self) -> Iterator[Metric]:
        about = "1 when the queue is being read, as `/readyz` says."
        family = GaugeMetricFamily("corral_queue_read", about, labels=["queue"])
        for queue, is_read in self._reads().items():
            family.add_metric([queue], is_read)
        yield family
