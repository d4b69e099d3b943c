"""What a worker process counts of its attempts: plain numbers, put into Prometheus's form when somebody looks.

The library's own counters take a lock and find their child by its labels each time, which is 7 us a job;
these are 1. Only the event loop touches them.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.utils import floatToGoString

RUN_S = (0.001, 0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900)
_WAIT_S = (0.005, 0.025, 0.1, 0.5, 1, 5, 30, 60, 300, 1800, 7200)


class _Times:
    """How often a time in seconds fell into each bucket, the last of which has no bound; and their sum."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._sum += seconds

    def add_to(self, family: HistogramMetricFamily, kind: str) -> None:
        names = [*map(floatToGoString, self._bounds), "+Inf"]
        buckets = list(zip(names, accumulate(self._counts), strict=True))
        family.add_metric([kind], buckets, self._sum)


class AttemptCounts:
    """A collector of Prometheus's. Every kind is shown from the start, so that a rate needs no first job to exist."""

    def __init__(self, kinds: Iterable[str]) -> None:
        """Begin with nothing."""
        known = list(kinds)
        self._started = Counter(dict.fromkeys(known, 0))
        self._running = Counter(dict.fromkeys(known, 0))
        self._ended = Counter({(kind, "completed", ""): 0 for kind in known})
        self._run = defaultdict[str, _Times](lambda: _Times(RUN_S))
        self._waited = defaultdict[str, _Times](lambda: _Times(_WAIT_S))

    def begun(self, kind: str) -> None:
        """Count an attempt that begins; ``left`` has to follow."""
        self._started[kind] += 1
        self._running[kind] += 1

    def left(self, kind: str) -> None:
        """Count an attempt as no longer under way, however that came."""
        self._running[kind] -= 1

    def ended(self, kind: str, outcome: str, code: str, *, run_s: float, waited_s: float | None) -> None:
        """Count the end of an attempt."""
        self._ended[kind, outcome, code] += 1
        self._run[kind].observe(run_s)
        if waited_s is not None:
            self._waited[kind].observe(waited_s)

    def collect(self) -> Iterator[Metric]:
        """Give the figures as they are now."""
        ended = CounterMetricFamily(
            "corral_attempts",
            "Attempts that ended, by outcome and by the code of the error.",
            labels=["kind", "outcome", "code"],
        )
        for labels, count in self._ended.items():
            ended.add_metric(labels, count)
        yield ended
        started = CounterMetricFamily("corral_attempts_started", "Attempts that began.", labels=["kind"])
        running = GaugeMetricFamily("corral_attempts_running", "Attempts under way.", labels=["kind"])
        for family, counts in ((started, self._started), (running, self._running)):
            for kind, count in counts.items():
                family.add_metric([kind], count)
            yield family
        run = HistogramMetricFamily("corral_attempt_seconds", "How long attempts ran.", labels=["kind"])
        waited = HistogramMetricFamily(
            "corral_wait_seconds", "How long jobs lay in the queue before their first attempt.", labels=["kind"]
        )
        for histogram, times in ((run, self._run), (waited, self._waited)):
            for kind, observed in times.items():
                observed.add_to(histogram, kind)
            yield histogram
