"""The one way in: a key means one job, whatever fails in between and whoever else tries."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from bullmq import Queue, Worker
from bullmq.custom_errors import UnrecoverableError
from redis.asyncio import Redis

from corral.valkey import ValkeyServer
from producers import connection
from producers.engine.fairness import Fairness
from producers.engine.jobs import Engine, NewJob, Tenants
from producers.enqueue import Enqueue, IdempotencyMismatch, Order
from producers.tenants.ledger import TenantLedger
from schemas.envelope import DEFAULT_TENANT, Callback
from schemas.errors import EngineUnavailable
from schemas.jobs.callbacks import DELIVER
from schemas.jobs.documents import CONVERT, ConvertDocument
from tests.support.until import until

PAYLOAD = {"source": {"file": f"sha256-{'0' * 64}"}}
BODY = {"payload": PAYLOAD, "callback": {"url": "https://example.org/hook"}}
ROUTE = "/v1/jobs/documents.convert"
KEEP_S = 4 * 24 * 3600


@pytest.fixture
async def engine(redis: Redis, valkey: ValkeyServer) -> AsyncIterator[Engine]:
    """The engine's border, on the tests' server."""
    assert await redis.dbsize() == 0
    async with connection.fail_fast(valkey.url) as client:
        yield Engine(client, prefix="bull", keep_finished_s=KEEP_S)


class DyingEngine(Engine):
    """An engine whose process ends between the claim of a key and the add of its job."""

    async def add_once(self, job: NewJob) -> None:
        """End before anything is written."""
        raise EngineUnavailable(f"gone before {job.id} was added")


def order(key: str | None = None, *, callback: str = "https://example.org/hook") -> Order:
    """Give an order of one document, with a callback."""
    return Order(
        CONVERT,
        ConvertDocument.model_validate(PAYLOAD),
        "default",
        Callback.model_validate({"url": callback}),
        key,
    )


async def jobs(redis: Redis, queue: str) -> list[str]:
    """Give the keys of a queue's jobs."""
    return sorted([key async for key in redis.scan_iter(f"bull:{queue}:{queue}_*") if key.count(":") == 2])


async def test_a_key_with_the_same_body_gives_the_same_job(api: httpx.AsyncClient, redis: Redis) -> None:
    """The second answer is 200, says that it is a replay, and names the first job."""
    first = await api.post(ROUTE, json=BODY, headers={"Idempotency-Key": "a"})
    again = await api.post(ROUTE, json=BODY, headers={"Idempotency-Key": "a"})

    assert (first.status_code, again.status_code) == (202, 200)
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json() == first.json()
    assert again.headers["Location"] == f"/v1/jobs/{first.json()['id']}"
    assert len(await jobs(redis, "documents")) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"payload": {"source": {"file": f"sha256-{'1' * 64}"}}, "callback": BODY["callback"]},
        {"payload": PAYLOAD, "callback": {"url": "https://example.org/other"}},
        {"payload": PAYLOAD},
    ],
    ids=["another payload", "another callback", "no callback"],
)
async def test_a_key_with_another_body_is_refused(api: httpx.AsyncClient, redis: Redis, other: dict[str, Any]) -> None:
    """The answer is 422, and neither the first job nor its callback is touched."""
    first = await api.post(ROUTE, json=BODY, headers={"Idempotency-Key": "a"})
    (parent,) = await jobs(redis, "callbacks")
    before = await redis.hgetall(parent)

    refused = await api.post(ROUTE, json=other, headers={"Idempotency-Key": "a"})

    assert refused.status_code == 422
    assert refused.json()["code"] == "idempotency_mismatch"
    assert await jobs(redis, "documents") == [f"bull:documents:{first.json()['id']}"]
    assert await jobs(redis, "callbacks") == [parent]
    assert await redis.hgetall(parent) == before


async def test_a_key_belongs_to_its_kind_and_tenant(engine: Engine) -> None:
    """Two tenants that choose the same key get a job each."""
    enqueue = Enqueue(engine, idempotency_s=3600)
    ours = await enqueue(order("a"))
    theirs = await enqueue(Order(CONVERT, ConvertDocument.model_validate(PAYLOAD), "other", None, "a"))

    assert ours.job_id != theirs.job_id
    assert not theirs.replayed


async def test_without_a_key_every_request_is_a_job(engine: Engine, redis: Redis) -> None:
    """Nothing is remembered, so nothing is taken for a repetition."""
    enqueue = Enqueue(engine, idempotency_s=3600)
    assert (await enqueue(order())).job_id != (await enqueue(order())).job_id
    assert len(await jobs(redis, "documents")) == 2


async def test_a_hundred_posts_with_one_key_make_one_job(api: httpx.AsyncClient, redis: Redis) -> None:
    """All at once: one job, one callback, one 202, and everybody hears of the same job."""
    posts = [api.post(ROUTE, json=BODY, headers={"Idempotency-Key": "a"}) for _ in range(100)]
    answers = await asyncio.gather(*posts)

    assert sorted(answer.status_code for answer in answers) == [200] * 99 + [202]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(await jobs(redis, "documents")) == 1
    assert len(await jobs(redis, "callbacks")) == 1
    assert await redis.llen("bull:documents:wait") == 1
    assert await redis.zcard("bull:callbacks:waiting-children") == 1


async def test_a_crash_between_claim_and_add_is_healed_by_the_next_try(
    engine: Engine, redis: Redis, valkey: ValkeyServer
) -> None:
    """The key was claimed and no job added: whoever tries again adds it, under the same id, once."""
    async with connection.fail_fast(valkey.url) as client:
        dying = Enqueue(DyingEngine(client, prefix="bull", keep_finished_s=KEEP_S), idempotency_s=3600)
        with pytest.raises(EngineUnavailable):
            await dying(order("a"))
    assert await jobs(redis, "documents") == []

    enqueue = Enqueue(engine, idempotency_s=3600)
    healed, again = await enqueue(order("a")), await enqueue(order("a"))

    assert healed == again
    assert await jobs(redis, "documents") == [f"bull:documents:{healed.job_id}"]
    with pytest.raises(IdempotencyMismatch):
        await enqueue(order("a", callback="https://example.org/other"))


async def test_a_removed_job_is_not_run_again_by_a_replay(engine: Engine, redis: Redis, valkey: ValkeyServer) -> None:
    """An operator who removes a job means it."""
    enqueue = Enqueue(engine, idempotency_s=3600)
    first = await enqueue(order("a"))
    async with connection.patient(valkey.url) as client:
        await Queue("documents", {"connection": client}).remove(first.job_id)

    replayed = await enqueue(order("a"))

    assert replayed.job_id == first.job_id
    assert replayed.replayed
    assert await jobs(redis, "documents") == []


async def test_a_key_is_as_new_when_its_time_is_over(engine: Engine, redis: Redis) -> None:
    """The old job, which the engine still keeps, is not taken for the new one."""
    enqueue = Enqueue(engine, idempotency_s=3600)
    first = await enqueue(order("a"))
    (claim,) = [key async for key in redis.scan_iter("corral:idempotency:*")]
    assert 0 < await redis.ttl(claim) <= 3600
    await redis.delete(claim)

    second = await enqueue(order("a"))

    assert not second.replayed
    assert second.job_id != first.job_id
    assert len(await jobs(redis, "documents")) == 2


@pytest.mark.parametrize("parent", [None, NewJob("callbacks_1", DELIVER, {})], ids=["alone", "with a callback"])
async def test_of_many_who_add_one_id_one_does(engine: Engine, redis: Redis, parent: NewJob | None) -> None:
    """However they interleave, a job of one id is written once."""
    job = NewJob("documents_1", CONVERT, {}, parent)
    await asyncio.gather(*(engine.add_once(job) for _ in range(20)))

    assert await redis.llen("bull:documents:wait") == 1
    assert await redis.zcard("bull:callbacks:waiting-children") == (0 if parent is None else 1)


async def test_of_many_who_add_one_id_one_place_and_one_entry_come(redis: Redis, valkey: ValkeyServer) -> None:
    """What is done for tenants in the same transaction is safe to repeat."""
    async with connection.fail_fast(valkey.url, timeout_s=5) as client:
        ledger = TenantLedger(client, "bull")
        engine = Engine(client, prefix="bull", keep_finished_s=KEEP_S, tenants=Tenants(Fairness(client), ledger))
        await asyncio.gather(*(engine.add_once(NewJob("documents_1", CONVERT, {})) for _ in range(20)))

        assert (await ledger.count(DEFAULT_TENANT)).jobs == 1
    assert await redis.zcard("bull:documents:prioritized") == 1
    assert await redis.hget("bull:documents:fair", f"t:{DEFAULT_TENANT}") == "1"


async def test_a_job_that_has_begun_is_not_written_again(engine: Engine, redis: Redis) -> None:
    """A caller who tries again late changes nothing of it."""
    job = NewJob("documents_1", CONVERT, {"first": True})
    await engine.add_once(job)
    await redis.lmove("bull:documents:wait", "bull:documents:active")

    await engine.add_once(replace(job, data={"first": False}))

    assert await redis.llen("bull:documents:wait") == 0
    assert await redis.hget("bull:documents:documents_1", "data") == '{"first":true}'


async def test_healing_a_job_that_has_failed_leaves_its_callback_alone(
    engine: Engine, redis: Redis, valkey: ValkeyServer
) -> None:
    """A child that is added to its parent again after its end would keep the parent from ending."""
    enqueue = Enqueue(engine, idempotency_s=3600)
    accepted = await enqueue(order("a"))
    (claim,) = [key async for key in redis.scan_iter("corral:idempotency:*")]
    # As if the process had died between the add and the note that it was done.
    held = str(await redis.get(claim))
    assert held.endswith(" added")
    await redis.set(claim, held.replace(" added", " claimed"), keepttl=True)
    async with connection.patient(valkey.url) as client:
        await fail_next(client)
    (parent,) = await jobs(redis, "callbacks")

    assert (await enqueue(order("a"))).job_id == accepted.job_id

    assert await redis.exists(f"{parent}:dependencies") == 0
    assert await redis.lrange("bull:callbacks:wait", 0, -1) == [parent.rpartition(":")[2]]


async def fail_next(client: Redis) -> None:
    """Take the job that waits, as a worker does, and fail it for good."""

    async def fail(*_: object) -> None:
        raise UnrecoverableError("document_unreadable: it is no PDF")

    worker = Worker("documents", fail, {"connection": client, "autorun": False})
    run = asyncio.create_task(worker.run())
    await until(lambda: client.zcard("bull:documents:failed"))
    await worker.close()
    await run
