"""The one way by which a job enters a queue."""

import hashlib
import json
from dataclasses import dataclass

from pydantic import BaseModel

from producers.engine import Engine, NewJob
from schemas import job_id as ids
from schemas.envelope import Callback, Envelope
from schemas.errors import Permanent
from schemas.job_spec import AnySpec
from schemas.jobs.callbacks import DELIVER, DeliverCallback

_ADDED = ":added"


class IdempotencyMismatch(Permanent):
    """The key was used for another request. Remedy: use a new ``Idempotency-Key``."""

    code = "idempotency_mismatch"


@dataclass(frozen=True)
class Order:
    """What somebody wants done: one job, and who is to hear of its end."""

    spec: AnySpec
    payload: BaseModel
    tenant: str
    callback: Callback | None = None
    idempotency_key: str | None = None
    traceparent: str | None = None


@dataclass(frozen=True)
class Accepted:
    """The job is in the queue; ``replayed`` when an earlier request put it there."""

    job_id: str
    replayed: bool = False


class Enqueue:
    """Accepts orders: an answer means that the server has the job."""

    def __init__(self, engine: Engine, *, idempotency_s: int) -> None:
        """Remember an idempotency key for ``idempotency_s`` seconds."""
        self._engine = engine
        self._idempotency_s = idempotency_s

    async def __call__(self, order: Order) -> Accepted:
        """Add the job, once for each idempotency key.

        The id derives from the key, so every step may be repeated: a crash between claim and
        add is healed by the caller's next try.

        Raises:
            IdempotencyMismatch: the key was used for another request.
            EngineUnavailable: the server did not confirm; with a key it is safe to try again.
        """
        if order.idempotency_key is None:
            return await self._add(order, ids.new(order.spec.queue))
        job_id = ids.derived(order.spec.queue, order.tenant, order.spec.kind, order.idempotency_key)
        claim, print_ = f"corral:idempotency:{job_id}", fingerprint(order)
        held = await self._engine.claim(claim, print_, ttl_s=self._idempotency_s)
        if held is not None and held.removesuffix(_ADDED) != print_:
            raise IdempotencyMismatch("this idempotency key belongs to another request; use a new one")
        if held is None or not held.endswith(_ADDED):
            await self._add(order, job_id)
            await self._engine.settle(claim, print_ + _ADDED)
        return Accepted(job_id, replayed=held is not None)

    async def _add(self, order: Order, job_id: str) -> Accepted:
        envelope = Envelope(tenant=order.tenant, callback=order.callback, traceparent=order.traceparent)
        job = NewJob(job_id, order.spec, envelope.wrap(order.payload), _callback(order, job_id))
        await self._engine.add(job)
        return Accepted(job_id)


def _callback(order: Order, job_id: str) -> NewJob | None:
    if order.callback is None:
        return None
    notice = DeliverCallback(job_id=job_id, kind=order.spec.kind, callback=order.callback)
    envelope = Envelope(tenant=order.tenant, traceparent=order.traceparent)
    # The job's own characters, so that whoever sees one id finds the other.
    callback_id = f"{DELIVER.queue}_{job_id.partition('_')[2]}"
    return NewJob(callback_id, DELIVER, envelope.wrap(notice))


def fingerprint(order: Order) -> str:
    """Tell two requests apart: the SHA-256 of payload and callback in canonical JSON."""
    content = [order.payload.model_dump(), order.callback and order.callback.model_dump()]
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), default=_canonical)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _canonical(value: object) -> object:
    # A set has an order of its own in every process.
    return sorted(value) if isinstance(value, set | frozenset) else str(value)
