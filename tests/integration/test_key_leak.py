"""The check for leaked keys knows what the engine owns, on a real server with real queues."""

from collections.abc import AsyncIterator

import pytest
from bullmq import FlowProducer, Queue
from redis.asyncio import Redis

from corral.valkey import ValkeyServer
from tests.support.key_leak import leaked_keys


@pytest.fixture
async def leaky(valkey: ValkeyServer) -> AsyncIterator[Redis]:
    """A client of an empty Valkey on which keys may leak: nobody looks when the test ends."""
    async with Redis.from_url(valkey.url, decode_responses=True) as client:
        await client.flushall()
        yield client
        await client.flushall()


@pytest.fixture
async def queue(leaky: Redis) -> Queue:
    """A queue of the engine, as its own package makes it."""
    return Queue("documents", {"connection": leaky})


async def test_whatever_the_engine_keeps_has_an_owner(leaky: Redis, queue: Queue) -> None:
    """Waiting, delayed and prioritized jobs, a flow, and the log of a job are no leaks."""
    job = await queue.add("convert", {}, {})
    await queue.add("convert", {}, {"delay": 60_000})
    await queue.add("convert", {}, {"priority": 3})
    await job.log("page 1 of 2")
    flows = FlowProducer({"connection": leaky})
    await flows.add(
        {
            "name": "deliver",
            "queueName": "callbacks",
            "children": [{"name": "convert", "queueName": "documents"}],
        }
    )

    assert await leaked_keys(leaky) == []


async def test_a_removed_job_leaves_no_key(leaky: Redis, queue: Queue) -> None:
    """The engine removes a job together with all that hangs on it."""
    job = await queue.add("convert", {}, {})
    await job.log("page 1 of 2")
    await queue.remove(job.id)

    assert await leaked_keys(leaky) == []
    assert await leaky.exists(f"bull:documents:{job.id}:logs") == 0


@pytest.mark.parametrize(
    "key",
    [
        "corral:idempotency:default:42",
        "bull:documents:17",
        "bull:documents:17:logs",
        "bull:documents:17:unheard-of",
        "bull:documents",
        "corral:bull:callback:callbacks_1",
        "corral:bull:target:acme:ep_1:parked",
        "corral:other:endpoints:acme",
    ],
)
async def test_a_key_that_nobody_owns_is_a_leak(leaky: Redis, key: str) -> None:
    """A job that no list of its queue knows, what hangs on it, and all else that is not the engine's."""
    await leaky.set(key, "left behind")

    assert await leaked_keys(leaky) == [key]


@pytest.mark.parametrize("key", ["corral:bull:endpoints:acme", "corral:bull:disabled:acme"])
async def test_what_a_tenant_has_registered_is_the_tenants(leaky: Redis, key: str) -> None:
    """It goes with the last of its fields."""
    await leaky.hset(key, "ep_1", "{}")

    assert await leaked_keys(leaky) == []

    await leaky.hdel(key, "ep_1")
    assert await leaky.exists(key) == 0


async def test_a_key_that_will_end_is_no_leak(leaky: Redis) -> None:
    """A time to live is owner enough."""
    await leaky.set("corral:idempotency:default:42", "documents_1", ex=60)

    assert await leaked_keys(leaky) == []


async def test_a_job_needs_a_satellite_that_the_engine_knows(leaky: Redis, queue: Queue) -> None:
    """A key below a living job is owned only if the engine would remove it with the job."""
    job = await queue.add("convert", {}, {})
    await leaky.set(f"bull:documents:{job.id}:notes", "left behind")

    assert await leaked_keys(leaky) == [f"bull:documents:{job.id}:notes"]


async def test_another_prefix_has_other_owners(leaky: Redis, queue: Queue) -> None:
    """The engine's keys belong to it only under the prefix that the fleet uses."""
    await queue.add("convert", {}, {})

    assert "bull:documents:wait" in await leaked_keys(leaky, prefix="other")
