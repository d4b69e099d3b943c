"""The one way by which a job enters a queue."""

import hashlib
import json
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass

from pydantic import BaseModel

from producers.callbacks.recipients import Recipients
from producers.engine.jobs import Claim, Engine, NewJob
from producers.engine.notice import callback_id, notice
from producers.tenants.admission import Admission, TenantLimitReached
from schemas import job_id as ids
from schemas.envelope import Callback, Envelope, Limits
from schemas.errors import PayloadInvalid, Permanent
from schemas.job_spec import AnySpec


class IdempotencyMismatch(Permanent):
    """The key was used for another request. Remedy: use a new ``Idempotency-Key``."""

    code = "idempotency_mismatch"


@dataclass(frozen=True)
class Order:
    """What somebody wants done: one job, who is to hear of its end, its own limits, and not before ``delay_s``."""

    spec: AnySpec
    payload: BaseModel
    tenant: str
    callback: Callback | None = None
    idempotency_key: str | None = None
    traceparent: str | None = None
    limits: Limits | None = None
    delay_s: float = 0.0


@dataclass(frozen=True)
class Accepted:
    """The job is in the queue; ``replayed`` when an earlier request put it there."""

    job_id: str
    replayed: bool = False


class Enqueue:
    """Accepts orders: an answer means that the server has the job."""

    def __init__(
        self,
        engine: Engine,
        *,
        idempotency_s: int,
        admission: Admission | None = None,
        recipients: Recipients | None = None,
    ) -> None:
        """Remember an idempotency key for ``idempotency_s`` seconds.

        Without ``admission`` nobody has limits; without ``recipients`` it shows at delivery who may be called back.
        """
        self._engine = engine
        self._idempotency_s = idempotency_s
        self._admission = admission
        self._recipients = recipients

    async def __call__(self, order: Order) -> Accepted:
        """Add the job, once for each idempotency key.

        The server takes the key with the job, as one: so a caller who tries again after whatever
        failure hears of the job that is there, or adds it. When the key's time has run out it is as new.
        It is one round trip, whatever comes with the job.

        Raises:
            IdempotencyMismatch: the key was used for another request.
            PayloadInvalid: the job's own limits are above its kind's, or its callback names no endpoint.
            AddressNotAllowed: the operator does not let the tenant be called back there.
            TenantLimitReached: the tenant has too much in the queues; never for a job that is there already.
            EngineUnavailable: the server did not confirm; with a key it is safe to try again.
        """
        check_limits(order)
        if order.callback is not None and self._recipients is not None:
            await self._recipients(order.tenant, order.callback)
        job = _job(order, ids.new(order.spec.queue))
        if order.idempotency_key is None:
            async with self._admitted(order.tenant):
                await self._engine.add(job)
            return Accepted(job.id)
        ours = f"{job.id} {fingerprint(order)}"
        claim = Claim(_claim_key(order, order.idempotency_key), ours, self._idempotency_s)
        held = await self._add_once(job, claim)
        job_id, print_of_first = (held or ours).split(" ")
        if ours.partition(" ")[2] != print_of_first:
            raise IdempotencyMismatch("this idempotency key belongs to another request; use a new one")
        return Accepted(job_id, replayed=held is not None)

    async def _add_once(self, job: NewJob, claim: Claim) -> str | None:
        try:
            async with self._admitted(job.tenant):
                return await self._engine.add(job, claim)
        except TenantLimitReached:
            # Who repeats a request adds nothing.
            if held := await self._engine.claimed(claim.key):
                return held
            raise

    def _admitted(self, tenant: str) -> AbstractAsyncContextManager[None]:
        return nullcontext() if self._admission is None else self._admission.adding(tenant)


def check_limits(order: Order) -> None:
    """See that a job's own limits are within its kind's.

    Raises:
        PayloadInvalid: one is above it; the message names it.
    """
    for name, limit_s in order.limits or ():
        most_s = getattr(order.spec.limits, name)
        if limit_s is not None and most_s is not None and limit_s > most_s:
            raise PayloadInvalid(f"limits.{name}: {order.spec.kind} allows {most_s:g} s at most")


def _claim_key(order: Order, idempotency_key: str) -> str:
    # Hashed, for the key is the caller's: any length, any characters. No part can hold the separator.
    identity = f"{order.tenant}\x00{order.spec.kind}\x00{idempotency_key}"
    return f"corral:idempotency:{hashlib.sha256(identity.encode()).hexdigest()}"


def _job(order: Order, job_id: str) -> NewJob:
    envelope = Envelope(
        tenant=order.tenant, callback=order.callback, traceparent=order.traceparent, limits=order.limits
    )
    parent = notice(job_id, order.spec.kind, envelope, notice_id=callback_id(job_id))
    return NewJob(job_id, order.spec, envelope.wrap(order.payload), parent, order.delay_s)


def fingerprint(order: Order) -> str:
    """Tell two requests apart: the SHA-256 of payload, callback and limits in canonical JSON.

    When it is to begin is left out: a caller who tries again has counted on in the meantime.
    """
    callback = order.callback and order.callback.model_dump(exclude_none=True)
    content: list[object] = [order.payload.model_dump(), callback]
    if order.limits and (limits := order.limits.model_dump(exclude_none=True)):
        content.append(limits)
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), default=_canonical)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _canonical(value: object) -> object:
    # A set has an order of its own in every process.
    return sorted(value) if isinstance(value, set | frozenset) else str(value)
