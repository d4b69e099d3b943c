"""One attempt at a job: decode, handle, save, judge, announce. The walk of every job of every kind.

The engine stays on the other side of ``Delivery``, the world on the other side of the ports.
"""

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog
from pydantic import BaseModel, ValidationError

from schemas.envelope import Envelope, Limits, describe
from schemas.errors import (
    ChildrenPending,
    HandlerFailed,
    JobExpired,
    PayloadInvalid,
    ResultTooLarge,
)
from schemas.job_spec import RetryPolicy
from schemas.outcome import Completed, Outcome, Retrying, Waiting
from worker.context import Context, Delivery
from worker.judge import Chances, judge
from worker.metrics import WorkerMetrics
from worker.registry import Entry, Registry
from worker.time_limits import TimeLimits

log = structlog.get_logger()

# A result travels through the queue's server and in callbacks; what is larger is an artifact.
RESULT_LIMIT_BYTES = 64 * 1024
_NO_RETRY = RetryPolicy(attempts=1)
_WELL = (Completed, Waiting)


@dataclass(slots=True)
class Work:
    """A job that was understood: who does it, what is asked, for whom."""

    entry: Entry
    payload: BaseModel
    envelope: Envelope

    @property
    def limits(self) -> Limits:
        """What the job asks for, within what its kind allows; whoever added it may have asked for anything."""
        allowed, asked = self.entry.spec.limits, self.envelope.limits
        if asked is None:
            return allowed
        pairs = {name: [most_s, limit_s] for (name, most_s), (_, limit_s) in zip(allowed, asked, strict=True)}
        return Limits(**{name: min((s for s in pair if s is not None), default=None) for name, pair in pairs.items()})


@dataclass(frozen=True)
class Attempt:
    """Makes attempts; holds what they all share."""

    registry: Registry
    ports: Mapping[type, object]
    metrics: WorkerMetrics
    rng: random.Random
    time_limits: TimeLimits = field(default_factory=TimeLimits)

    async def __call__(self, delivery: Delivery) -> Outcome:
        """Make one attempt at a job. Every error becomes an outcome; only a stopping worker raises."""
        begun, work = time.perf_counter(), None
        try:
            with delivery.cancellation:
                work = self._decode(delivery)
                result = await self._handle(work, delivery)
            outcome: Outcome = _fit(Completed.of(result))
        except ChildrenPending:
            outcome = Waiting()
        except Exception as error:
            outcome = self._judge(error, work, delivery)
        self._announce(outcome, work, delivery, time.perf_counter() - begun)
        return outcome

    def _decode(self, delivery: Delivery) -> Work:
        entry = self.registry.find(delivery.queue, delivery.name)
        envelope, payload = Envelope.unwrap(delivery.data)
        try:
            return Work(entry, entry.spec.payload.model_validate(payload), envelope)
        except ValidationError as error:
            raise PayloadInvalid(f"the payload does not fit its schema: {describe(error)}") from error

    async def _handle(self, work: Work, delivery: Delivery) -> BaseModel:
        if delivery.failed is not None:
            raise delivery.failed
        limits = work.limits
        if limits.wait_s is not None and (delivery.waited_s or 0) > limits.wait_s:
            raise JobExpired(f"the job waited for longer than {limits.wait_s:g} s and was not begun")
        ports = {port: self.ports[port] for port in work.entry.ports}
        with self.time_limits.watch(limits, delivery.cancellation.end) as watch:
            job = Context(delivery, tenant=work.envelope.tenant, ports=ports, alive=watch.alive)
            result = await work.entry.handle(work.payload, job)
            await job.flush()
        return result

    def _judge(self, error: Exception, work: Work | None, delivery: Delivery) -> Outcome:
        retry = work.entry.spec.retry if work else _NO_RETRY
        outcome = judge(error, Chances(delivery.number, delivery.limit, retry), self.rng)
        if outcome.error.code == HandlerFailed.code:
            # Nobody foresaw it, so this is the one place where its trace can be seen.
            log.error("handler.failed", job_id=delivery.id, exc_info=error)
        return outcome

    def _announce(self, outcome: Outcome, work: Work | None, delivery: Delivery, run_s: float) -> None:
        kind = self.registry.kind(delivery.queue, delivery.name)
        error = None if isinstance(outcome, _WELL) else outcome.error
        # Jobs of Corral's own lie waiting for other jobs, as the parents of flows.
        waited_s = None if work and work.entry.spec.internal else delivery.waited_s
        self.metrics.ended(kind, outcome.name, error.code if error else "", run_s=run_s, waited_s=waited_s)
        facts = {
            "job_id": delivery.id,
            "kind": kind or f"{delivery.queue}.{delivery.name}",
            "tenant": work.envelope.tenant if work else None,
            "outcome": outcome.name,
            "attempt": delivery.number,
            "run_s": round(run_s, 4),
            "waited_s": None if waited_s is None else round(waited_s, 4),
        }
        if error:
            facts |= {"code": error.code, "reason": str(error)}
        if isinstance(outcome, Retrying):
            facts["delay_s"] = round(outcome.delay_s, 3)
        log.info("attempt.ended", **facts)


def _fit(outcome: Completed) -> Completed:
    size_bytes = len(outcome.value_json.encode())
    if size_bytes > RESULT_LIMIT_BYTES:
        raise ResultTooLarge(f"the result has {size_bytes:,} bytes of {RESULT_LIMIT_BYTES:,}; store it as an artifact")
    return outcome
