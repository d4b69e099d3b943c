"""An attempt as it is watched from outside: counted as begun, a span of its job's trace, and a callback's receipt."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from producers.trace import Off, Span, Tracing, job_facts, well_formed, within
from schemas.envelope import KEY
from schemas.jobs.callbacks import DELIVER, DeliveredCallback
from schemas.jobs.callbacks_interim import DELIVER as DELIVER_INTERIM
from schemas.outcome import Completed, Outcome, Waiting
from worker.context import Delivery
from worker.metrics import WorkerMetrics
from worker.registry import Registry

_CALLBACKS = frozenset({DELIVER.kind, DELIVER_INTERIM.kind})


@dataclass(frozen=True)
class Observed:
    """Makes attempts, and tells of them. Without a trace it adds two counters and no more."""

    attempt: Callable[[Delivery], Awaitable[Outcome]]
    registry: Registry
    metrics: WorkerMetrics
    tracing: Tracing

    async def __call__(self, delivery: Delivery) -> Outcome:
        """Make one attempt at a job."""
        kind = self.registry.kind(delivery.queue, delivery.name)
        self.metrics.begun(kind)
        above = _traceparent(delivery.data)
        try:
            if above is None and isinstance(self.tracing, Off):
                outcome = await self.attempt(delivery)
            else:
                outcome = await self._traced(kind, delivery, above)
        finally:
            self.metrics.left(kind)
        if kind in _CALLBACKS:
            self.metrics.called_back(*_receipt(outcome))
        return outcome

    async def _traced(self, kind: str | None, delivery: Delivery, above: str | None) -> Outcome:
        with self.tracing.span(f"attempt {kind}", "consumer", above) as span, within(span):
            outcome = await self.attempt(delivery)
            _note(span, kind, delivery, outcome)
            return outcome


def _note(span: Span, kind: str | None, delivery: Delivery, outcome: Outcome) -> None:
    span.facts |= job_facts(delivery.queue, kind or delivery.name, delivery.id)
    span.facts |= {"corral.attempt": delivery.number, "corral.outcome": outcome.name}
    if not isinstance(outcome, Completed | Waiting):
        span.failed = outcome.error.code


def _traceparent(data: object) -> str | None:
    # Anybody may have added the job, with anything in the place of an envelope.
    envelope = data.get(KEY) if isinstance(data, dict) else None
    found = envelope.get("traceparent") if isinstance(envelope, dict) else None
    return well_formed(found) if isinstance(found, str) else None


def _receipt(outcome: Outcome) -> tuple[str, float | None]:
    match outcome:
        case Completed(result=DeliveredCallback(sent=True, latency_s=latency_s)):
            return "delivered", latency_s
        case Completed() | Waiting():
            return "unwanted", None
        case other:
            return other.error.code, None
