"""Schedules: who may keep which, and what each of their firings adds."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from urllib.parse import quote

import structlog
from pydantic import ValidationError

from producers.callbacks.recipients import Recipients
from producers.engine.schedulers import EngineSchedules, KeptSchedule
from schemas.envelope import Envelope, describe
from schemas.errors import EngineUnavailable, PayloadInvalid, Permanent, UnknownKind
from schemas.job_spec import Catalogue
from schemas.jobs.schedules import FireSchedule
from schemas.schedule import FailedFiring, Schedule, ScheduleRequest, ScheduleStatus

log = structlog.get_logger()

_TRY_AGAIN_S = 2.0
# Firings stand in one line for all tenants, each schedule with one of them at the most: this is what bounds it.
_MOST = 1_000


class ScheduleMissing(Permanent):
    """This tenant has no such schedule. Remedy: see ``GET /v1/schedules``."""

    code = "schedule_missing"


class ScheduleDeclared(Permanent):
    """The schedule belongs to the code. Remedy: change its declaration there, and deploy."""

    code = "schedule_declared"


class ScheduleLimitReached(Permanent):
    """The tenant has as many schedules as it may. Remedy: delete one that is not used."""

    code = "schedule_limit_reached"


class Schedules:
    """Keeps the schedules of all tenants."""

    def __init__(
        self, engine: EngineSchedules, catalogue: Catalogue, recipients: Recipients | None = None, *, most: int = _MOST
    ) -> None:
        """Keep them in ``engine``, ``most`` of a tenant; only kinds that callers may add can be scheduled."""
        self._recipients = recipients
        self._most = most
        self._engine = engine
        self._catalogue = catalogue

    async def put(self, tenant: str, schedule_id: str, request: ScheduleRequest) -> ScheduleStatus:
        """Keep a schedule, in place of the tenant's own of the same id. One that is the same stays as it is.

        Raises:
            UnknownKind: there is no such kind.
            PayloadInvalid: the payload does not fit its kind, or the schedule would never fire.
            ScheduleDeclared: the code has one of that id.
            ScheduleLimitReached: it would be one too many.
            AddressNotAllowed: the operator does not let the tenant be called back there.
        """
        spec = self._catalogue.get(request.kind)
        if spec is None or spec.internal:
            raise UnknownKind(f"there is no kind {request.kind!r} to schedule")
        try:
            spec.payload.model_validate(request.payload)
        except ValidationError as error:
            raise PayloadInvalid(f"the payload does not fit its schema: {describe(error)}") from error
        if request.callback is not None and self._recipients is not None:
            await self._recipients(tenant, request.callback)
        if not await self._demand_own(tenant, schedule_id):
            await self._demand_room(tenant)
        firing = FireSchedule(schedule=schedule_id, origin="api", **dict(request))
        await self._put(tenant, firing)
        return await self.get(tenant, schedule_id)

    async def get(self, tenant: str, schedule_id: str) -> ScheduleStatus:
        """Give a schedule of the tenant's.

        Raises:
            ScheduleMissing: there is none.
        """
        kept = await self._engine.get(_key(tenant, schedule_id))
        if kept is None:
            raise ScheduleMissing(f"there is no schedule {schedule_id!r}")
        return _status(kept, (await self._engine.failed([kept.id])).get(kept.id))

    async def all(self, tenant: str) -> list[ScheduleStatus]:
        """Give the tenant's schedules; the one that fires next is the first."""
        found = [kept async for kept in self._engine.all() if _tenant(kept) == tenant]
        failed = await self._engine.failed(kept.id for kept in found)
        return [_status(kept, failed.get(kept.id)) for kept in found]

    async def remove(self, tenant: str, schedule_id: str) -> None:
        """Remove a schedule. A firing that a worker has taken still adds its job.

        Raises:
            ScheduleMissing: there is none.
            ScheduleDeclared: it belongs to the code.
        """
        await self._demand_own(tenant, schedule_id)
        if not await self._engine.remove(_key(tenant, schedule_id)):
            raise ScheduleMissing(f"there is no schedule {schedule_id!r}")

    async def declare(self, schedules: Iterable[Schedule]) -> None:
        """Have the server keep these as the code's, and no other of the code's. Safe to repeat, anywhere.

        Raises:
            PayloadInvalid: one would never fire.
            EngineUnavailable: the server does not answer.
        """
        wanted = {_key(one.tenant, one.id): one for one in schedules}
        for schedule in wanted.values():
            payload = schedule.payload.model_dump(mode="json", exclude_unset=True)
            firing = FireSchedule(
                schedule=schedule.id,
                kind=schedule.spec.kind,
                payload=payload,
                when=schedule.when,
                callback=schedule.callback,
                origin="declared",
            )
            await self._put(schedule.tenant, firing)
        async for kept in self._engine.all():
            if kept.id not in wanted and _firing(kept).origin == "declared":
                await self._engine.remove(kept.id)
                log.info("schedule.removed", schedule=kept.id)

    async def keep_declared(self, schedules: list[Schedule], stop: asyncio.Event) -> None:
        """Declare as soon as the server answers, unless it is time to stop."""
        while not stop.is_set():
            try:
                await self.declare(schedules)
            except EngineUnavailable:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_TRY_AGAIN_S):
                        await stop.wait()
            else:
                return

    async def _demand_own(self, tenant: str, schedule_id: str) -> bool:
        """Tell whether there is such a schedule."""
        kept = await self._engine.get(_key(tenant, schedule_id))
        if kept is not None and _firing(kept).origin == "declared":
            raise ScheduleDeclared(f"the schedule {schedule_id!r} is declared in the code; change it there")
        return kept is not None

    async def _demand_room(self, tenant: str) -> None:
        home = _key(tenant, "")
        if sum(one.rpartition(".")[0] == home[:-1] for one in await self._engine.ids()) >= self._most:
            raise ScheduleLimitReached(f"the tenant has {self._most:,} schedules; delete one that is not used")

    async def _put(self, tenant: str, firing: FireSchedule) -> None:
        key, data = _key(tenant, firing.schedule), Envelope(tenant=tenant).wrap(firing)
        kept = await self._engine.get(key)
        # Putting the same again must not shift what is due: every process that starts does it.
        if kept is None or kept.data != data:
            await self._engine.put(key, firing.when, data)
            log.info("schedule.kept", schedule=key, kind=firing.kind)


def _key(tenant: str, schedule_id: str) -> str:
    # A schedule's id has no dot, so the last one parts the two, whatever the tenant's name holds.
    return f"{quote(tenant, safe='')}.{schedule_id}"


def _tenant(kept: KeptSchedule) -> str:
    return Envelope.unwrap(kept.data)[0].tenant


def _firing(kept: KeptSchedule) -> FireSchedule:
    return FireSchedule.model_validate(Envelope.unwrap(kept.data)[1])


def _status(kept: KeptSchedule, failed: FailedFiring | None) -> ScheduleStatus:
    firing = _firing(kept)
    next_at: datetime = kept.next_at
    return ScheduleStatus(
        id=firing.schedule,
        **firing.model_dump(exclude={"schedule", "when", "callback"}),
        when=firing.when,
        callback=firing.callback,
        next_at=next_at,
        fired=kept.fired,
        failed=failed,
    )
