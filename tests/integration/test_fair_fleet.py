"""A fleet that several tenants share: the API that adds, a worker that is busy, callbacks that follow."""

import time
from pathlib import Path

import pytest
from bullmq import Queue
from pydantic import SecretStr
from redis.asyncio import Redis

from corral.valkey import ValkeyServer
from producers.api.app import build
from producers.engine.fairness import Fairness
from producers.engine.jobs import Engine, NewJob, Tenants
from producers.settings import ApiSettings
from schemas import job_id as ids
from schemas.envelope import Envelope
from schemas.job_spec import JobSpec, catalogue
from tests.conftest import serving
from tests.support.fleet import QUEUE, Fleet, Trial, Verdict, entry, spec, succeed
from tests.support.until import until
from worker.ports import JobContext

RUN = spec()


@pytest.fixture
async def fair(redis: Redis) -> Fleet:
    """Jobs that get their place among tenants of weight 1."""
    return Fleet(redis, Engine(redis, prefix="bull", keep_finished_s=3600, tenants=Tenants(Fairness(redis))))


async def test_ten_jobs_start_within_a_second_behind_ten_thousand(fair: Fleet) -> None:
    """On a worker that is busy with them all the time."""
    bulk = [{"name": "run", "data": Envelope(tenant="acme").wrap(Trial()), "opts": {}} for _ in range(9_900)]
    await Queue(QUEUE, {"connection": fair.redis}).addBulk(bulk)
    for number in range(100):
        await fair.add(RUN, Trial(number=number), tenant="acme")
    started: list[float] = []

    async def note(_payload: Trial, job: JobContext) -> Verdict:
        if job.tenant == "bolt":
            started.append(time.monotonic())
        due = time.monotonic() + 0.01
        await until(lambda: time.monotonic() > due)
        return Verdict()

    async with fair.worker(entry(note), concurrency=20):
        await until(lambda: fair.redis.zcard("bull:trials:completed"))
        begun = time.monotonic()
        for number in range(10):
            await fair.add(RUN, Trial(number=number), tenant="bolt")
        await until(lambda: len(started) == 10)
        assert max(started) - begun < 1.0
        assert await fair.redis.zcard("bull:trials:prioritized") > 5_000


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
