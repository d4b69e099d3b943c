"""The one way by which a job enters a queue."""

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Self

from pydantic import BaseModel

from producers.callbacks.recipients import Recipients
from producers.engine.jobs import Engine, NewJob
from producers.engine.notice import callback_id, notice
from producers.tenants.admission import Admission
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


@dataclass(frozen=True)
class _Claim:
    """What an idempotency key stands for: a request, the job it got, and whether that was added."""

    job_id: str
    fingerprint: str
    added: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        job_id, fingerprint, added = text.split(" ")
        return cls(job_id, fingerprint, added == "added")

    def __str__(self) -> str:
        return f"{self.job_id} {self.fingerprint} {'added' if self.added else 'claimed'}"


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

        The key's claim holds the job's id, so every step may be repeated: a crash between claim
        and add is healed by the caller's next try. When the claim has run out the key is as new.
        Round trips: one call of a script, or where a callback, limits or fairness come with it one
        transaction, and a look whether its scripts are there; a key adds a claim before and a note after.

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
        job_id = ids.new(order.spec.queue)
        if order.idempotency_key is None:
            async with self._admitted(order.tenant):
                await self._engine.add(_job(order, job_id))
            return Accepted(job_id)
        key = _claim_key(order, order.idempotency_key)
        ours = _Claim(job_id, fingerprint(order))
        held = await self._engine.claim(key, str(ours), ttl_s=self._idempotency_s)
        claim = ours if held is None else _Claim.parse(held)
        if claim.fingerprint != ours.fingerprint:
            raise IdempotencyMismatch("this idempotency key belongs to another request; use a new one")
        if not claim.added:
            # Whoever claimed may be adding at this moment, or have died: only one of us will add.
            async with self._admitted(order.tenant):
                await self._engine.add_once(_job(order, claim.job_id))
            await self._engine.settle(key, str(replace(claim, added=True)))
        return Accepted(claim.job_id, replayed=held is not None)

    @asynccontextmanager
    async def _admitted(self, tenant: str) -> AsyncIterator[None]:
        if self._admission is None:
            yield
            return
        await self._admission.check(tenant)
        with self._admission.adding(tenant):
            yield


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
