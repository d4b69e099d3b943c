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
from producers.engine.jobs import Claim, Engine, NewJob, Tenants
from producers.engine.new_job import Parent
from producers.enqueue import Enqueue, IdempotencyMismatch, Order
from producers.tenants.ledger import TenantLedger
from schemas.envelope import DEFAULT_TENANT, Callback
from schemas.errors import EngineUnavailable
from schemas.jobs.callbacks import DELIVER
from schemas.jobs.documents import CONVERT, ConvertDocument
from tests.support.lossy_proxy import lossy_proxy
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


@pytest.mark.parametrize("lost", ["order", "answer"])
async def test_what_is_lost_on_the_way_is_healed_by_the_next_try(redis: Redis, valkey: ValkeyServer, lost: str) -> None:
    """Key and job are there together or not at all, so whoever tries again gets one job, once."""
    async with lossy_proxy(valkey.socket) as proxy, connection.fail_fast(proxy.url) as client:
        enqueue = Enqueue(Engine(client, prefix="bull", keep_finished_s=KEEP_S), idempotency_s=3600)
        await enqueue(order("warm"))
        proxy.lose(b"corral:idempotency", answer=lost == "answer")
        with pytest.raises(EngineUnavailable):
            await enqueue(order("a"))
        assert proxy.lost == 1
        healed, again = await enqueue(order("a")), await enqueue(order("a"))
        assert healed.replayed is (lost == "answer")
        assert again.job_id == healed.job_id
        with pytest.raises(IdempotencyMismatch):
            await enqueue(order("a", callback="https://example.org/other"))
    assert len(await jobs(redis, "documents")) == len(await jobs(redis, "callbacks")) == 2


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


async def test_of_many_with_one_claim_one_is_added_with_its_place_and_entry(redis: Redis, valkey: ValkeyServer) -> None:
    """However they interleave, and all that belongs to the others' jobs is left out, too."""
    async with connection.fail_fast(valkey.url, timeout_s=5) as client:
        ledger = TenantLedger(client, "bull")
        engine = Engine(client, prefix="bull", keep_finished_s=KEEP_S, tenants=Tenants(Fairness(client), ledger))
        flows = [NewJob(f"documents_{n}", CONVERT, {}, NewJob(f"callbacks_{n}", DELIVER, {})) for n in range(20)]
        held = await asyncio.gather(*(engine.add(flow, Claim("corral:idempotency:x", flow.id, 60)) for flow in flows))

        (first,) = [flow.id for flow, other in zip(flows, held, strict=True) if other is None]
        assert set(held) == {None, first}
        assert (await ledger.count(DEFAULT_TENANT)).jobs == 1
    assert await redis.zrange("bull:documents:prioritized", 0, -1) == [first]
    assert await redis.hget("bull:documents:fair", f"t:{DEFAULT_TENANT}") == "1"
    assert await redis.zcard("bull:callbacks:waiting-children") == 1


async def test_a_child_that_has_begun_is_not_written_again(engine: Engine, redis: Redis) -> None:
    """Whoever adds it again, late, changes nothing of it."""
    await engine.add(NewJob("documents_0", CONVERT, {}))
    child = NewJob("documents_1", CONVERT, {"first": True}, child_of=Parent("documents_0", "bull:documents"))
    assert await engine.add_children([child]) == 1
    await redis.lmove("bull:documents:wait", "bull:documents:active", "LEFT", "LEFT")

    assert await engine.add_children([replace(child, data={"first": False})]) == 0

    assert await redis.lrange("bull:documents:wait", 0, -1) == ["documents_0"]
    assert await redis.hget("bull:documents:documents_1", "data") == '{"first":true}'


async def test_a_child_of_a_job_that_is_gone_is_refused(engine: Engine, redis: Redis) -> None:
    """The engine takes none, and says so: nothing of it is in the server."""
    orphan = NewJob("documents_1", CONVERT, {}, child_of=Parent("documents_0", "bull:documents"))
    with pytest.raises(EngineUnavailable, match="documents_1"):
        await engine.add_children([orphan])
    assert await redis.dbsize() == 0


async def test_a_replay_leaves_the_callback_of_a_job_that_has_failed_alone(
    engine: Engine, redis: Redis, valkey: ValkeyServer
) -> None:
    """A child that is added to its parent again after its end would keep the parent from ending."""
    enqueue = Enqueue(engine, idempotency_s=3600)
    accepted = await enqueue(order("a"))
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
