"""Fills the port ``Orders`` with the API's own way into a queue."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Self

from pydantic import ValidationError

from producers import connection, trace
from producers.engine.jobs import Engine
from producers.engine.schedulers import EngineSchedules, due_at, following
from producers.enqueue import Enqueue, Order
from producers.tenants.admission import Admission, TenantLimitReached
from producers.tenants.tenancy import tenancy
from schemas.envelope import describe
from schemas.errors import PayloadInvalid, UnknownKind
from schemas.job_spec import Catalogue, catalogue
from schemas.jobs.schedules import FIRE, FireSchedule, FiringSkipped
from schemas.settings import TenantSettings
from worker.ports import JobContext, Orders

# Longer than a firing is tried: after that nobody asks for the same one again.
_SAME_FIRING_S = 24 * 3600
# To count what a tenant has takes the server milliseconds, and each add tells as much: many fire in the same second.
_HEARD_S = 0.25


class EngineOrders(Orders):
    """Adds jobs as the API does, within the limits of their tenants."""

    def __init__(self, engine: Engine, admission: Admission, schedules: EngineSchedules, specs: Catalogue) -> None:
        """Add jobs of these kinds, of tenants whom ``admission`` lets in."""
        self._enqueue = Enqueue(engine, idempotency_s=_SAME_FIRING_S, admission=admission)
        self._admission = admission
        self._schedules = schedules
        self._specs = specs
        self._hearing = defaultdict[str, asyncio.Lock](asyncio.Lock)
        self._heard_at = defaultdict[str, float](float)

    @classmethod
    @asynccontextmanager
    async def connected(cls, settings: TenantSettings) -> AsyncIterator[Self]:
        """Write through a client of its own, closed at the end of the block."""
        prefix, keep_s = settings.queue_prefix, settings.keep_finished_s
        async with connection.patient(settings.redis_url) as redis:
            engine, admission = tenancy(settings, redis)
            schedules = EngineSchedules(redis, prefix=prefix, spec=FIRE, keep_finished_s=keep_s)
            yield cls(engine, admission, schedules, catalogue())

    async def due(self, firing_id: str) -> datetime:
        """Say when a firing was due, and make sure that its schedule has a next one."""
        await self._schedules.advance(firing_id.removeprefix(f"{FIRE.queue}_"))
        return due_at(firing_id)

    async def place(self, job: JobContext, firing: FireSchedule) -> str:
        """Add the job that a firing asks for; the firing's id is the idempotency key."""
        spec = self._specs.get(firing.kind)
        if spec is None or spec.internal:
            raise UnknownKind(f"the schedule {firing.schedule} adds {firing.kind}, which is no kind any more")
        try:
            payload = spec.payload.model_validate(firing.payload)
        except ValidationError as error:
            raise PayloadInvalid(
                f"the schedule {firing.schedule} does not fit {firing.kind}: {describe(error)}"
            ) from error
        order = Order(spec, payload, job.tenant, firing.callback, f"schedule {job.id}", trace.current())
        await self._hear_of(job.tenant)
        try:
            return (await self._enqueue(order)).job_id
        except TenantLimitReached as refusal:
            if datetime.now(UTC) < following(firing.when, due_at(job.id)):
                raise
            raise FiringSkipped(f"when the next firing of {firing.schedule} came, {refusal}") from refusal

    async def _hear_of(self, tenant: str) -> None:
        async with self._hearing[tenant]:
            if time.monotonic() - self._heard_at[tenant] > _HEARD_S:
                await self._admission.count(tenant)
                self._heard_at[tenant] = time.monotonic()
