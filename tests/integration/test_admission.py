"""What one tenant may have in the queues: nobody is dropped in silence, and no count drifts."""

import asyncio
from pathlib import Path

import httpx
import pytest
from bullmq import Queue
from redis.asyncio import Redis

from corral.valkey import ValkeyServer
from producers import connection
from producers.api.app import build
from producers.engine.jobs import Engine, Tenants
from producers.enqueue import Enqueue, Order
from producers.settings import ApiSettings
from producers.tenants.admission import Admission, TenantLimitReached, TenantLimits
from producers.tenants.ledger import TenantLedger, Usage
from schemas.job_spec import catalogue
from tests.conftest import serving
from tests.support.fleet import QUEUE, Fleet, Trial, entry, hang, spec, succeed
from tests.support.until import until

RUN = spec()


class Desk:
    """Takes orders of tenants with limits, by a clock that the test sets."""

    def __init__(self, redis: Redis, **limits: int) -> None:
        """Open it on the tests' server."""
        self.now = 0.0
        self.ledger = TenantLedger(redis, "bull")
        engine = Engine(redis, prefix="bull", keep_finished_s=3600, tenants=Tenants(None, self.ledger))
        self.fleet = Fleet(redis, engine)
        admission = Admission(self.ledger, TenantLimits(**limits), lambda: self.now)
        self.enqueue = Enqueue(engine, idempotency_s=3600, admission=admission)

    async def order(self, tenant: str = "acme", key: str | None = None, text: str = "") -> str:
        """Add a job and give its id."""
        return (await self.enqueue(Order(RUN, Trial(text=text), tenant, None, key))).job_id

    async def refusal(self, tenant: str = "acme", text: str = "") -> TenantLimitReached:
        """Add a job that must be refused."""
        with pytest.raises(TenantLimitReached) as caught:
            await self.order(tenant, text=text)
        return caught.value


@pytest.mark.parametrize("limit", [{"in_flight": 3}, {"queued": 3}], ids=["in flight", "in line"])
async def test_a_tenant_at_its_limit_is_refused_and_no_other(redis: Redis, limit: dict[str, int]) -> None:
    """The fourth is refused, of another tenant accepted, and as soon as one has ended there is room."""
    desk = Desk(redis, **limit)
    first = [await desk.order() for _ in range(3)]
    assert (await desk.refusal()).retry_after_s == 5
    await desk.order("bolt")
    await Queue(QUEUE, {"connection": redis}).remove(first[0])
    desk.now = 1.0
    assert await desk.order()
    await desk.refusal()


async def test_jobs_that_run_are_in_flight_and_not_in_line(redis: Redis) -> None:
    """Two of two that wait are a full line; as soon as they run it is empty."""
    desk = Desk(redis, queued=2)
    await desk.order()
    await desk.order()
    await desk.refusal()
    async with desk.fleet.worker(entry(hang)):
        await until(lambda: running(redis, 2))
        desk.now = 1.0
        await desk.order()
        await until(lambda: running(redis, 3))
    await redis.flushall()


async def running(redis: Redis, many: int) -> bool:
    """Tell whether so many jobs run."""
    return await redis.llen(f"bull:{QUEUE}:active") == many


async def test_the_bytes_of_a_tenant_are_limited(redis: Redis) -> None:
    """What lies in the server counts, to the byte, and is given back."""
    desk = Desk(redis, queued_bytes=5_000)
    job_id = await desk.order(text="x" * 5_000)
    size_bytes = len((await desk.fleet.raw(job_id))["data"])
    assert desk.ledger.known["acme"].bytes == size_bytes
    assert "bytes" in str(await desk.refusal())
    async with desk.fleet.worker(entry(succeed)):
        await desk.fleet.ended(job_id)
    desk.now = 1.0
    assert await desk.order()


async def test_the_wait_that_is_asked_for_is_measured(redis: Redis) -> None:
    """Two jobs ended in ten seconds: who wants room for one is told five."""
    desk = Desk(redis, in_flight=4)
    jobs = [await desk.order() for _ in range(4)]
    await desk.refusal()
    for job_id in jobs[:2]:
        await Queue(QUEUE, {"connection": redis}).remove(job_id)
    desk.now = 10.0
    await desk.order()
    await desk.order()
    assert (await desk.refusal()).retry_after_s == 5
    desk.now = 10.1
    assert (await desk.refusal()).retry_after_s == 5


async def test_a_known_key_is_answered_at_the_limit_too(redis: Redis) -> None:
    """A repetition adds nothing; a refused key is as good as new when there is room."""
    desk = Desk(redis, in_flight=1)
    job_id = await desk.order(key="a")
    assert await desk.order(key="a") == job_id
    with pytest.raises(TenantLimitReached):
        await desk.order(key="b")
    await Queue(QUEUE, {"connection": redis}).remove(job_id)
    desk.now = 1.0
    assert await desk.order(key="b") != job_id


async def test_adds_that_are_under_way_count(redis: Redis, valkey: ValkeyServer) -> None:
    """Of fifty at once, twenty pass a limit of twenty."""
    async with connection.fail_fast(valkey.url, timeout_s=5.0) as client:
        desk = Desk(client, in_flight=20)
        answers = await asyncio.gather(*(desk.order() for _ in range(50)), return_exceptions=True)
    assert sum(isinstance(answer, TenantLimitReached) for answer in answers) == 30
    assert await redis.llen("bull:corral:ledger:acme") == 20


async def test_the_ledger_forgets_what_has_ended(redis: Redis) -> None:
    """Without anybody at a limit it stays near what is open, and a full count is the engine's truth."""
    desk = Desk(redis, in_flight=10_000)
    async with desk.fleet.worker(entry(succeed)):
        for _ in range(300):
            await desk.order()
        await until(lambda: ended(redis, 300))
    assert await redis.llen("bull:corral:ledger:acme") < 150
    assert (await desk.ledger.count("acme")).jobs == 0
    assert await redis.hget("bull:corral:ledger:acme:sums", "bytes") is None
    assert desk.ledger.known["acme"].ended == 300


async def test_what_an_add_hears_leaves_what_a_count_has_found(redis: Redis) -> None:
    """How many have ended is known from the last look, also when an add's answer comes after it."""
    desk = Desk(redis, in_flight=10)
    first = await desk.order()
    await Queue(QUEUE, {"connection": redis}).remove(first)
    assert await desk.ledger.count("acme") == Usage(ended=1)
    for number in range(5):
        await desk.order()
        assert (desk.ledger.known["acme"].jobs, desk.ledger.known["acme"].ended) == (number + 1, 1)


async def ended(redis: Redis, many: int) -> bool:
    """Tell whether so many jobs have ended."""
    return await redis.zcard(f"bull:{QUEUE}:completed") == many


async def test_the_api_answers_429_and_says_when(redis: Redis, valkey: ValkeyServer, tmp_path: Path) -> None:
    """As a problem, with a code and `Retry-After`; what was accepted is untouched."""
    assert await redis.dbsize() == 0
    given = ApiSettings(redis_url=valkey.url, data_folder=tmp_path, tenant_jobs_queued=2)
    body = {"payload": {"source": {"file": f"sha256-{'0' * 64}"}}}
    async with serving(build(given, catalogue())) as api:
        answers: list[httpx.Response] = [await api.post("/v1/jobs/documents.convert", json=body) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [202, 202, 429]
    problem = answers[2]
    assert problem.headers["Content-Type"] == "application/problem+json"
    assert problem.json()["code"] == "tenant_limit_reached"
    assert int(problem.headers["Retry-After"]) >= 1
    assert await redis.llen("bull:documents:wait") == 2
