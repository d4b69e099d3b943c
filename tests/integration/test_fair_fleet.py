"""A fleet that several tenants share: the API that adds, a worker that is busy, callbacks that follow."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from bullmq import Queue
from pydantic import SecretStr
from redis.asyncio import Redis

from corral.valkey import ValkeyServer
from producers.api.app import build
from producers.engine.fairness import Fairness
from producers.engine.jobs import Engine, NewJob, Tenants
from producers.engine.schedulers import EngineSchedules
from producers.schedules import Schedules
from producers.settings import ApiSettings
from producers.tenants.tenancy import tenancy
from schemas import job_id as ids
from schemas.envelope import Envelope
from schemas.job_spec import JobSpec, catalogue
from schemas.jobs.schedules import FIRE
from schemas.schedule import Every, ScheduleRequest
from schemas.settings import TenantSettings
from tests.conftest import serving
from tests.support.fleet import QUEUE, Fleet, Trial, Verdict, entry, spec, succeed
from tests.support.until import until
from worker.adapters.engine_children import EngineChildren
from worker.adapters.engine_orders import EngineOrders
from worker.handlers.schedules import fire
from worker.ports import Child, Children, JobContext, Orders
from worker.registry import Entry
from worker.runner import Runner

RUN = spec()


@pytest.fixture
async def fair(redis: Redis) -> Fleet:
    """Jobs that get their place among tenants of weight 1."""
    return Fleet(redis, Engine(redis, prefix="bull", keep_finished_s=3600, tenants=Tenants(Fairness(redis))))


def began_before(started: list[str], since: int) -> int:
    """Count the other tenant's jobs that began between a moment and the last of bolt's.

    A second in jobs: the busier the machine, the longer it takes, and the worker does no more in it.
    """
    last = max(place for place, tenant in enumerate(started) if tenant == "bolt")
    return started[since:last].count("acme")


async def test_ten_jobs_start_within_a_second_behind_ten_thousand(fair: Fleet) -> None:
    """On a worker that is busy with them all the time, and does 1,000 a second."""
    bulk = [{"name": "run", "data": Envelope(tenant="acme").wrap(Trial()), "opts": {}} for _ in range(9_900)]
    await Queue(QUEUE, {"connection": fair.redis}).addBulk(bulk)
    for number in range(100):
        await fair.add(RUN, Trial(number=number), tenant="acme")
    started: list[str] = []

    async def note(_payload: Trial, job: JobContext) -> Verdict:
        started.append(job.tenant)
        due = time.monotonic() + 0.01
        await until(lambda: time.monotonic() > due)
        return Verdict()

    async with fair.worker(entry(note), concurrency=20):
        await until(lambda: fair.redis.zcard("bull:trials:completed"))
        begun = len(started)
        for number in range(10):
            await fair.add(RUN, Trial(number=number), tenant="bolt")
        await until(lambda: started.count("bolt") == 10)
        assert began_before(started, begun) < 1_000
        assert await fair.redis.zcard("bull:trials:prioritized")


Way = Callable[["Shared", str, int], Awaitable[None]]


@dataclass
class Shared:
    """A fleet that tenants share, with everything that adds jobs for them, as deployed."""

    fleet: Fleet
    orders: EngineOrders
    children: EngineChildren
    schedules: Schedules
    started: list[str] = field(default_factory=list)

    async def work(self, payload: Trial, job: JobContext) -> Verdict:
        """Take a while, or have so many others do so."""
        if payload.number:
            parts = [Child(str(number), RUN, Trial()) for number in range(payload.number)]
            await job.use(Children).run(job, parts)
            return Verdict()
        self.started.append(job.tenant)
        due = time.monotonic() + 0.05
        await until(lambda: time.monotonic() > due)
        return Verdict()

    def worker(self) -> AbstractAsyncContextManager[Runner]:
        """Run a worker that does 400 jobs a second, and fires schedules."""
        ports: dict[type, object] = {Children: self.children, Orders: self.orders}
        firing = Entry(FIRE, fire.handle, frozenset({Orders}))
        return self.fleet.worker(entry(self.work, RUN, Children), firing, ports=ports, concurrency=20)


async def by_the_api(shared: Shared, tenant: str, many: int) -> None:
    """Add jobs one by one."""
    for _ in range(many):
        await shared.fleet.add(RUN, Trial(), tenant=tenant)


async def by_schedules(shared: Shared, tenant: str, many: int) -> None:
    """Have schedules fire that were put by the tenant."""
    request = ScheduleRequest(kind=RUN.kind, when=Every(every_s=3600))
    for number in range(many):
        await shared.schedules.put(tenant, f"hourly-{number}", request)


async def as_children(shared: Shared, tenant: str, many: int) -> None:
    """Add one job that has all the others done."""
    await shared.fleet.add(RUN, Trial(number=many), tenant=tenant)


@pytest.fixture
async def shared(redis: Redis, valkey: ValkeyServer) -> AsyncIterator[Shared]:
    """Everything that adds jobs, with the settings as they ship."""
    given = TenantSettings(redis_url=valkey.url)
    engine, admission = tenancy(given, redis)
    schedulers = EngineSchedules(redis, prefix="bull", spec=FIRE, keep_finished_s=3600)
    specs = {RUN.kind: RUN, FIRE.kind: FIRE}
    async with EngineChildren.connected(given) as children:
        orders = EngineOrders(engine, admission, schedulers, specs)
        yield Shared(Fleet(redis, engine), orders, children, Schedules(schedulers, specs))


@pytest.mark.parametrize("way", [by_the_api, by_schedules, as_children])
@pytest.mark.parametrize("ahead", [by_the_api, as_children])
async def test_ten_jobs_start_within_a_second_whichever_way_they_come(shared: Shared, ahead: Way, way: Way) -> None:
    """Behind 2,000 of another tenant, which would take five seconds."""
    redis = shared.fleet.redis
    await ahead(shared, "acme", 2_000)
    async with shared.worker():
        await until(lambda: redis.zcard(f"bull:{QUEUE}:completed"), within_s=30)
        await way(shared, "bolt", 10)
        asked = len(shared.started)
        await until(lambda: shared.started.count("bolt") == 10)
        assert began_before(shared.started, asked) < 400
        assert await redis.zcard(f"bull:{QUEUE}:prioritized")
    await redis.flushall()


async def test_a_fair_job_with_a_callback_is_one_flow(fair: Fleet) -> None:
    """The callback waits for it, and becomes due by its end."""
    notice = JobSpec(kind="notices.deliver", payload=Trial, result=Verdict)
    callback = NewJob(ids.new("notices"), notice, Envelope(tenant="acme").wrap(Trial()))
    job_id = await fair.add(RUN, Trial(), callback, tenant="acme")
    async with fair.worker(entry(succeed)):
        await fair.ended(job_id)
    assert await fair.redis.lrange("bull:notices:wait", 0, -1) == [callback.id]


@pytest.mark.parametrize(("tenants", "key"), [(("acme", "bolt"), "prioritized"), (("acme",), "wait")])
async def test_an_api_of_several_tenants_is_fair_and_of_one_is_plain(
    redis: Redis, valkey: ValkeyServer, tmp_path: Path, tenants: tuple[str, ...], key: str
) -> None:
    """Who is alone pays nothing."""
    tokens = {tenant: SecretStr(f"the-token-of-{tenant}-0123456789") for tenant in tenants}
    given = ApiSettings(redis_url=valkey.url, data_folder=tmp_path, api_tokens=tokens)
    body = {"payload": {"source": {"file": f"sha256-{'0' * 64}"}}}
    async with serving(build(given, catalogue()), token=tokens["acme"].get_secret_value()) as api:
        assert (await api.post("/v1/jobs/documents.convert", json=body)).status_code == 202
    assert await redis.type(f"bull:documents:{key}") == {"prioritized": "zset", "wait": "list"}[key]


async def test_a_stream_of_plain_jobs_does_not_starve_a_tenant(fair: Fleet) -> None:
    """They come after the tenant's last add, faster than they are done: the worker levels the line by itself."""
    started: list[float] = []

    async def note(_payload: Trial, job: JobContext) -> Verdict:
        if job.tenant == "acme":
            started.append(time.monotonic())
        due = time.monotonic() + 0.02
        await until(lambda: time.monotonic() > due)
        return Verdict()

    for number in range(5):
        await fair.add(RUN, Trial(number=number), tenant="acme")
    bulk = [{"name": "run", "data": {}, "opts": {}} for _ in range(3_000)]
    await Queue(QUEUE, {"connection": fair.redis}).addBulk(bulk)
    async with fair.worker(entry(note), concurrency=2):
        await until(lambda: len(started) == 5, within_s=5)
        assert await fair.redis.zcard("bull:trials:prioritized") + await fair.redis.llen("bull:trials:wait") > 1_000
    await fair.redis.flushall()
