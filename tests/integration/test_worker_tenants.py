"""What a worker adds for a tenant, by a schedule or as children, is that tenant's: its place, its books, its limits."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import cast

import pytest
from bullmq import Job, Queue
from redis.asyncio import Redis

from corral.valkey import ValkeyServer
from producers.engine.fairness import MARK
from producers.engine.schedulers import EngineSchedules
from producers.enqueue import Enqueue, Order
from producers.schedules import Schedules
from producers.tenants.admission import TenantLimitReached
from producers.tenants.ledger import TenantLedger
from producers.tenants.tenancy import tenancy
from schemas.errors import ChildrenPending
from schemas.job_spec import Catalogue, catalogue
from schemas.job_status import JobState
from schemas.jobs.documents import CONVERT
from schemas.jobs.schedules import FIRE
from schemas.schedule import Cron, FailedFiring, ScheduleRequest
from schemas.settings import TenantSettings
from tests.support.fleet import QUEUE, Fleet, Seen, Trial, Verdict, entry, hang, spec, succeed
from tests.support.schedule import make_due
from tests.support.until import passed, until
from worker.adapters.engine_children import EngineChildren
from worker.adapters.engine_orders import EngineOrders
from worker.consumer import Consumer
from worker.consumer_options import ConsumerOptions
from worker.handlers.schedules import fire
from worker.ports import Child, Children, JobContext, Orders
from worker.registry import Entry

RUN, WHOLE = spec(), spec("whole")
SPECS: Catalogue = {RUN.kind: RUN, FIRE.kind: FIRE}
FIRING = Entry(FIRE, fire.handle, frozenset({Orders}))
YEARLY = Cron(cron="0 0 1 1 *")
YEAR_S = 366 * 24 * 3600
PARTS = [Child(f"part-{number}", RUN, Trial(number=number)) for number in range(3)]


@dataclass
class ParentJob:
    """As much of a job as what adds its children looks at."""

    id: str
    tenant: str


@pytest.fixture
def given(valkey: ValkeyServer) -> TenantSettings:
    """A worker's settings: a tenant may have two jobs in flight, and one of them has twice the share of others."""
    return TenantSettings(redis_url=valkey.url, tenant_jobs_in_flight=2, tenant_weights={"acme": 2})


@pytest.fixture
async def children(redis: Redis, given: TenantSettings) -> AsyncIterator[EngineChildren]:
    """What adds children."""
    assert await redis.ping()
    async with EngineChildren.connected(given) as opened:
        yield opened


@pytest.fixture
def enqueue(redis: Redis, given: TenantSettings) -> Enqueue:
    """What adds jobs in the API."""
    engine, admission = tenancy(given, redis)
    return Enqueue(engine, idempotency_s=60, admission=admission)


@pytest.fixture
def schedules(redis: Redis) -> Schedules:
    """Every tenant's schedules."""
    return Schedules(EngineSchedules(redis, prefix="bull", spec=FIRE, keep_finished_s=3600), SPECS)


@pytest.fixture
def ports(redis: Redis, given: TenantSettings) -> dict[type, object]:
    """What a firing needs."""
    engines = EngineSchedules(redis, prefix="bull", spec=FIRE, keep_finished_s=3600)
    return {Orders: EngineOrders(*tenancy(given, redis), engines, SPECS)}


async def tags(redis: Redis, tenant: str) -> list[int]:
    """Give the start tags of a tenant's jobs in line."""
    line = cast("list[tuple[str, float]]", await redis.zrange(f"bull:{QUEUE}:prioritized", 0, -1, withscores=True))
    places = {one: int(score) >> 32 for one, score in line}
    return [tag for one, tag in places.items() if await redis.hget(f"bull:{QUEUE}:{one}", MARK) == tenant]


async def open_jobs(redis: Redis, tenant: str = "acme") -> int:
    """Count the jobs in a tenant's books, less those that have ended."""
    return (await TenantLedger(redis, "bull").count(tenant)).jobs


# --- Children.


async def test_children_stand_in_line_by_their_tenants_weight(fleet: Fleet, children: EngineChildren) -> None:
    """Behind their parent, with twice the weight at half the distance; in the books they are jobs like others."""
    for tenant in ("acme", "bolt"):
        parent = ParentJob(await fleet.add(WHOLE, Trial(), tenant=tenant), tenant)
        with pytest.raises(ChildrenPending):
            await children.run(parent, PARTS)  # type: ignore[arg-type]  # as much of a job as is needed
    assert await tags(fleet.redis, "acme") == [2, 2, 3, 3]
    assert await tags(fleet.redis, "bolt") == [2, 3, 4, 5]
    assert await open_jobs(fleet.redis) == len(PARTS)
    await fleet.redis.flushall()


async def test_no_limit_keeps_a_parent_from_its_children(
    fleet: Fleet, children: EngineChildren, enqueue: Enqueue
) -> None:
    """They are above the limit, and their parent waits for them: they are added, and hold back what comes after."""
    part = Seen([hang, hang, hang, succeed])

    async def fan_out(_payload: Trial, job: JobContext) -> Verdict:
        return Verdict(text=str(len(await job.use(Children).run(job, PARTS))))

    job_id = (await enqueue(Order(WHOLE, Trial(), "acme"))).job_id
    async with fleet.worker(entry(fan_out, WHOLE, Children), entry(part, RUN), ports={Children: children}):
        await until(lambda: len(part.runs) == len(PARTS))
        assert await open_jobs(fleet.redis) == 1 + len(PARTS)
        # An API learns what workers have added by its own next add.
        late = (await enqueue(Order(RUN, Trial(), "acme"))).job_id
        with pytest.raises(TenantLimitReached, match=r"[45] of 2 jobs in flight"):
            await enqueue(Order(RUN, Trial(), "acme"))
    async with fleet.worker(entry(fan_out, WHOLE, Children), entry(part, RUN), ports={Children: children}):
        job = await fleet.ended(job_id)
        await fleet.ended(late)
    assert (job.status.state, job.result["text"]) == (JobState.COMPLETED, "3")
    assert await open_jobs(fleet.redis) == 0


# --- Plain jobs and retries.


async def test_a_worker_gives_what_came_past_the_api_its_place_by_weight(
    fleet: Fleet, enqueue: Enqueue, given: TenantSettings
) -> None:
    """As a Node program adds them, beside a job of somebody else that has its place."""
    await enqueue(Order(RUN, Trial(), "bolt"))
    for _ in range(4):
        await fleet.add(RUN, Trial(), tenant="acme")
    options = ConsumerOptions(
        queue=QUEUE,
        prefix="bull",
        name="test",
        lock_s=2,
        crashes=3,
        keep_finished_s=60,
        tenant_weights=given.tenant_weights,
    )
    await Consumer(fleet.redis, options).level()
    assert await tags(fleet.redis, "acme") == [2, 2, 3, 3]


# --- Schedules.


async def failed(schedules: Schedules) -> FailedFiring | None:
    """Give what the schedule's owner is shown of a firing that failed."""
    return (await schedules.get("acme", "tick")).failed


async def fired_job(redis: Redis) -> str | None:
    """Give the id of the job that the first firing has added."""
    firings = [str(one) for one in await redis.zrange("bull:schedules:completed", 0, 0)]
    result = await redis.hget(f"bull:schedules:{firings[0]}", "returnvalue") if firings else None
    return str(json.loads(str(result))["job_id"]) if result else None


async def test_a_job_of_a_schedule_has_its_tenants_place_and_is_in_its_books(
    fleet: Fleet, given: TenantSettings
) -> None:
    """As a worker opens it: the job is in the line of the fair, not before it."""
    engine = EngineSchedules(fleet.redis, prefix="bull", spec=FIRE, keep_finished_s=3600)
    request = ScheduleRequest(kind=CONVERT.kind, payload={"source": {"file": f"sha256-{'0' * 64}"}}, when=YEARLY)
    await Schedules(engine, catalogue()).put("acme", "tick", request)
    await make_due(fleet.redis, "acme.tick")
    async with EngineOrders.connected(given) as orders, fleet.worker(FIRING, ports={Orders: orders}):
        job_id = await until(lambda: fired_job(fleet.redis))
    assert await fleet.redis.zrange("bull:documents:prioritized", 0, -1) == [job_id]
    (noted,) = await fleet.redis.lrange("bull:corral:ledger:acme", 0, -1)
    assert str(noted).endswith(f" documents:{job_id}")


async def test_a_firing_that_is_refused_is_tried_again_and_shown(
    fleet: Fleet, schedules: Schedules, ports: dict[type, object], enqueue: Enqueue
) -> None:
    """Its owner sees the code and that it is not lost; as soon as there is room its job is added, once."""
    await schedules.put("acme", "tick", ScheduleRequest(kind=RUN.kind, when=YEARLY))
    await make_due(fleet.redis, "acme.tick")
    async with fleet.worker(FIRING, ports=ports):
        # What the worker knows of the tenant from now on is too little.
        first = await until(lambda: fired_job(fleet.redis))
        await enqueue(Order(RUN, Trial(), "acme"))
        # A burst of firings goes by what it has just heard.
        await passed(0.3)
        due = await make_due(fleet.redis, "acme.tick")
        shown = await until(lambda: failed(schedules))
        assert shown is not None
        assert (shown.error.code, shown.tried_again) == ("tenant_limit_reached", True)
        await until(lambda: fleet.redis.zscore("bull:schedules:delayed", due))
        await Queue(QUEUE, {"connection": fleet.redis}).remove(first)
        await (await Job.fromId(Queue("schedules", {"connection": fleet.redis}), due)).promote()
        await until(lambda: fleet.redis.zscore("bull:schedules:completed", due))
    assert await failed(schedules) is None
    assert await fleet.redis.zcard(f"bull:{QUEUE}:prioritized") == 2


async def test_a_firing_that_is_refused_until_the_next_one_comes_is_given_up_and_shown(
    fleet: Fleet, schedules: Schedules, ports: dict[type, object], enqueue: Enqueue
) -> None:
    """The next one stands for both; no line of firings grows that would all add their jobs in one moment."""
    await schedules.put("acme", "tick", ScheduleRequest(kind=RUN.kind, when=YEARLY))
    for _ in range(2):
        await enqueue(Order(RUN, Trial(), "acme"))
    await make_due(fleet.redis, "acme.tick", ago_s=YEAR_S)
    async with fleet.worker(FIRING, ports=ports):
        shown = await until(lambda: failed(schedules))
    assert shown is not None
    assert (shown.error.code, shown.tried_again) == ("firing_skipped", False)
    assert "2 of 2 jobs in flight" in shown.error.message
    assert await fleet.redis.zcard(f"bull:{QUEUE}:prioritized") == 2


async def test_of_several_failed_firings_the_newest_is_shown(
    fleet: Fleet, schedules: Schedules, ports: dict[type, object], enqueue: Enqueue
) -> None:
    """And none of another schedule or tenant."""
    for tenant in ("acme", "bolt"):
        await schedules.put(tenant, "tick", ScheduleRequest(kind=RUN.kind, when=YEARLY))
    for _ in range(2):
        await enqueue(Order(RUN, Trial(), "acme"))
    dues = []
    async with fleet.worker(FIRING, ports=ports):
        for ago_s in (3 * YEAR_S, 2 * YEAR_S):
            dues.append(await make_due(fleet.redis, "acme.tick", ago_s=ago_s))
            await until(lambda: fleet.redis.zscore("bull:schedules:failed", dues[-1]))
    shown = await failed(schedules)
    assert shown is not None
    assert [one.failed for one in await schedules.all("acme")] == [shown]
    assert round(shown.due_at.timestamp() * 1000) == int(dues[-1].rpartition(":")[2])
    (other,) = await schedules.all("bolt")
    assert other.failed is None
