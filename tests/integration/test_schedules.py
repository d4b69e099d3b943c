"""Schedules: one firing at a time, whoever restarts, and each firing is a job like any other."""

import asyncio
import json
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from pydantic import BaseModel
from redis.asyncio import Redis

from producers.engine.schedulers import EngineSchedules, KeptSchedule
from producers.schedules import ScheduleLimitReached, Schedules
from producers.tenants.admission import Admission, TenantLimits
from producers.tenants.ledger import TenantLedger, Usage
from schemas.envelope import Callback
from schemas.job_spec import Catalogue
from schemas.jobs.callbacks import DELIVER
from schemas.jobs.schedules import FIRE
from schemas.schedule import Cron, Every, Schedule, ScheduleRequest
from tests.support.fleet import Fleet, Seen, Trial, entry, spec
from tests.support.schedule import make_due
from tests.support.until import until
from worker.adapters.engine_orders import EngineOrders
from worker.handlers.schedules import fire
from worker.ports import Orders
from worker.registry import Entry

RUN = spec()
SPECS: Catalogue = {RUN.kind: RUN, FIRE.kind: FIRE}
FIRING = Entry(FIRE, fire.handle, frozenset({Orders}))
YEARLY = Cron(cron="0 0 1 1 *", timezone="Europe/Zurich")


@pytest.fixture
def engine(redis: Redis) -> EngineSchedules:
    """The engine's schedulers on the tests' Valkey."""
    return EngineSchedules(redis, prefix="bull", spec=FIRE, keep_finished_s=3600)


@pytest.fixture
def schedules(engine: EngineSchedules) -> Schedules:
    """Every tenant's schedules."""
    return Schedules(engine, SPECS)


@pytest.fixture
def ports(fleet: Fleet, engine: EngineSchedules) -> dict[type, object]:
    """What a firing needs."""
    return {
        Orders: EngineOrders(fleet.engine, Admission(TenantLedger(fleet.redis, "bull"), TenantLimits()), engine, SPECS)
    }


async def fired(fleet: Fleet) -> list[str]:
    """Give the firings that have ended, by their ids."""
    return [str(one) for one in await fleet.redis.zrange("bull:schedules:completed", 0, -1)]


async def wanted(fleet: Fleet, count: int) -> bool:
    """Tell whether so many firings have ended."""
    return len(await fired(fleet)) >= count


async def test_many_workers_make_each_firing_once(
    fleet: Fleet, schedules: Schedules, ports: dict[type, object]
) -> None:
    """Four workers and a schedule of each second: one job a firing, at even distances."""
    handle = Seen()
    await schedules.declare([Schedule("tick", RUN, Trial(text="tick"), Every(every_s=1))])
    async with AsyncExitStack() as workers:
        for _ in range(4):
            await workers.enter_async_context(fleet.worker(FIRING, entry(handle), ports=ports))
        await until(lambda: wanted(fleet, 4))
        await until(lambda: len(handle.runs) >= 4)
        firings = await fired(fleet)
    assert len({run.id for run in handle.runs}) == len(handle.runs)
    due = sorted(int(one.rpartition(":")[2]) for one in firings)
    assert [later - earlier for earlier, later in pairwise(due)] == [1000] * (len(due) - 1)
    for one in firings:
        result = json.loads((await fleet.redis.hget(f"bull:schedules:{one}", "returnvalue")) or "{}")
        assert result["late_s"] < 1


async def test_many_apis_that_start_keep_one_schedule_as_it_is(
    fleet: Fleet, schedules: Schedules, engine: EngineSchedules
) -> None:
    """Every process declares at its start; nothing moves, and there is one next firing."""
    ours = [Schedule("tick", RUN, Trial(text="tick"), Every(every_s=3600))]
    await asyncio.gather(*(Schedules(engine, SPECS).declare(ours) for _ in range(8)))
    waiting = await fleet.redis.zcard("bull:schedules:delayed") + await fleet.redis.llen("bull:schedules:wait")
    before = (await schedules.get("default", "tick")).next_at
    await asyncio.gather(*(schedules.declare(ours) for _ in range(8)))
    assert waiting == 1
    assert (await schedules.get("default", "tick")).next_at == before


async def test_an_api_that_starts_leaves_a_firing_that_is_late(fleet: Fleet, schedules: Schedules) -> None:
    """After an outage the API may be there before a worker is: the nightly job is done all the same."""
    ours = [Schedule("nightly", RUN, Trial(), YEARLY)]
    await schedules.declare(ours)
    due = await make_due(fleet.redis, "default.nightly", ago_s=60)
    await schedules.declare(ours)
    assert await fleet.redis.zrange("bull:schedules:delayed", 0, -1) == [due]


async def test_a_changed_declaration_replaces_the_old_one_and_a_removed_one_disappears(
    fleet: Fleet, schedules: Schedules
) -> None:
    """And what tenants have put by the API is not the code's to remove."""
    await schedules.put("acme", "own", ScheduleRequest(kind=RUN.kind, when=YEARLY))
    await schedules.declare([Schedule("a", RUN, Trial(), YEARLY), Schedule("b", RUN, Trial(), YEARLY)])
    changed = Schedule("a", RUN, Trial(text="new"), Cron(cron="0 0 2 1 *"))
    await schedules.declare([changed])
    (kept,) = await schedules.all("default")
    assert (kept.id, kept.payload, kept.when, kept.origin) == ("a", {"text": "new"}, changed.when, "declared")
    assert [one.id for one in await schedules.all("acme")] == ["own"]
    assert await fleet.redis.zcard("bull:schedules:delayed") == 2


async def test_firings_that_an_outage_has_missed_are_one_that_is_late(
    fleet: Fleet, schedules: Schedules, ports: dict[type, object]
) -> None:
    """A schedule of each minute, with nobody there for an hour: one firing, then the next minute."""
    await schedules.declare([Schedule("tick", RUN, Trial(), Cron(cron="* * * * *"))])
    handle, due = Seen(), await make_due(fleet.redis, "default.tick", ago_s=3600)
    async with fleet.worker(FIRING, entry(handle), ports=ports):
        await until(lambda: len(handle.runs) == 1)
        await until(lambda: wanted(fleet, 1))
    assert await fired(fleet) == [due]
    result = json.loads((await fleet.redis.hget(f"bull:schedules:{due}", "returnvalue")) or "{}")
    assert result["late_s"] > 3599
    next_at = (await schedules.get("default", "tick")).next_at
    assert 0 < (next_at - datetime.now(UTC)).total_seconds() <= 60


async def test_a_firing_that_runs_twice_adds_one_job(
    fleet: Fleet, schedules: Schedules, ports: dict[type, object]
) -> None:
    """As after a crash of the worker in the middle of it."""
    await schedules.declare([Schedule("tick", RUN, Trial(), YEARLY)])

    async def twice(payload: BaseModel, job: Any) -> BaseModel:  # noqa: ANN401 - a context
        await fire.handle(payload, job)  # type: ignore[arg-type]  # the payload of FIRE
        return await fire.handle(payload, job)  # type: ignore[arg-type]  # as above

    handle = Seen()
    await make_due(fleet.redis, "default.tick")
    async with fleet.worker(Entry(FIRE, twice, frozenset({Orders})), entry(handle), ports=ports):
        await until(lambda: wanted(fleet, 1))
        await until(lambda: len(handle.runs) == 1)
    assert await fleet.redis.llen("bull:trials:wait") == 0


async def test_a_schedule_that_was_not_advanced_goes_on(
    fleet: Fleet, schedules: Schedules, engine: EngineSchedules
) -> None:
    """A worker lost its connection between taking a firing and advancing the schedule."""
    await schedules.declare([Schedule("tick", RUN, Trial(), YEARLY)])
    due = await make_due(fleet.redis, "default.tick")
    await fleet.redis.zrem("bull:schedules:delayed", due)
    await fleet.redis.lpush("bull:schedules:active", due)
    await engine.advance(due)
    await engine.advance(due)
    assert (await schedules.get("default", "tick")).next_at.month in {12, 1}
    assert await fleet.redis.zcard("bull:schedules:delayed") == 1
    await fleet.redis.lrem("bull:schedules:active", 1, due)
    await fleet.redis.delete(f"bull:schedules:{due}")


async def test_a_tenant_has_no_more_schedules_than_it_may(engine: EngineSchedules) -> None:
    """What is there may be changed, one that goes makes room, and tenants whose names begin alike do not count."""
    schedules, request = Schedules(engine, SPECS, most=2), ScheduleRequest(kind=RUN.kind, when=YEARLY)
    for tenant in ("acme", "acme.eu"):
        for schedule_id in ("a", "b"):
            await schedules.put(tenant, schedule_id, request)
    with pytest.raises(ScheduleLimitReached):
        await schedules.put("acme", "c", request)
    changed = ScheduleRequest(kind=RUN.kind, when=Cron(cron="0 0 2 1 *"))
    assert (await schedules.put("acme", "a", changed)).when == changed.when
    await schedules.remove("acme", "b")
    assert (await schedules.put("acme", "c", request)).id == "c"


class CountingLedger(TenantLedger):
    """Books that know how often they were looked through."""

    counts = 0

    async def count(self, tenant: str) -> Usage:
        """Look through them."""
        self.counts += 1
        return await super().count(tenant)


async def test_a_burst_of_firings_counts_its_tenant_seldom(
    fleet: Fleet, schedules: Schedules, engine: EngineSchedules
) -> None:
    """To count takes milliseconds of the server where a tenant has thousands of jobs, and each add tells as much."""
    for number in range(60):
        await schedules.put("acme", f"tick-{number}", ScheduleRequest(kind=RUN.kind, when=Every(every_s=3600)))
    ledger, begun = CountingLedger(fleet.redis, "bull"), time.monotonic()
    orders = EngineOrders(fleet.engine, Admission(ledger, TenantLimits()), engine, SPECS)
    async with fleet.worker(FIRING, ports={Orders: orders}):
        await until(lambda: wanted(fleet, 60), within_s=30)
    assert 1 <= ledger.counts <= 1 + (time.monotonic() - begun) / 0.25


class Overtaken(EngineSchedules):
    """What is kept, looked at by one whom the owner overtakes before he acts on what he saw."""

    async def get(self, schedule_id: str) -> KeptSchedule | None:
        """Look, and be too late: the owner removes the schedule."""
        kept = await super().get(schedule_id)
        await self.remove(schedule_id)
        return kept


async def test_a_schedule_that_is_removed_as_it_is_advanced_stays_removed(
    fleet: Fleet, schedules: Schedules, engine: EngineSchedules
) -> None:
    """To advance is never to put: what the owner has ended does not come back from a worker's memory of it."""
    await schedules.put("acme", "tick", ScheduleRequest(kind=RUN.kind, when=YEARLY))
    due = await make_due(fleet.redis, "acme.tick")
    await Overtaken(fleet.redis, prefix="bull", spec=FIRE, keep_finished_s=3600).advance(due)
    assert await engine.get("acme.tick") is None
    assert await fleet.redis.zcard("bull:schedules:delayed") == 0


@pytest.mark.guarantee("entry", "a schedule of Corral adds it", "its parent from the first moment, as of the API")
async def test_a_job_of_a_schedule_has_its_callback_and_tenant(
    fleet: Fleet, schedules: Schedules, ports: dict[type, object]
) -> None:
    """It is added by the one way in, so it is the child of its callback like any other."""
    hears = Callback.model_validate({"url": "https://example.com/hook"})
    await schedules.put("acme", "tick", ScheduleRequest(kind=RUN.kind, when=YEARLY, callback=hears))
    due = await make_due(fleet.redis, "acme.tick")
    async with fleet.worker(FIRING, ports=ports):
        await until(lambda: wanted(fleet, 1))
    job_id = json.loads((await fleet.redis.hget(f"bull:schedules:{due}", "returnvalue")) or "{}")["job_id"]
    job = await fleet.job(job_id)
    assert job.data["_corral"]["tenant"] == "acme"
    waiting = await fleet.redis.zrange(f"bull:{DELIVER.queue}:waiting-children", 0, -1)
    assert waiting == [f"callbacks_{job_id.partition('_')[2]}"]
