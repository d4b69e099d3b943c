"""Callbacks that wait for a slot in their worker, in place of being parked."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis

from producers.callbacks.gate import Gate, Parked, Pass, Sent, Target
from producers.callbacks.waiting import KNOWN_TARGETS, PATIENCE_S, Waiting
from tests.support.until import until

AT = datetime(2026, 1, 1, tzinfo=UTC)
TARGET = Target("acme", "ep_1", concurrency=2)


@pytest.fixture
def gate(redis: Redis) -> Gate:
    """A gate."""
    return Gate(redis, prefix="bull")


async def test_who_waits_in_a_worker_is_called_in_the_order_of_age(gate: Gate) -> None:
    """It has the slot at once, and is parked no more."""
    for name in ("a", "b"):
        await gate.enter(TARGET, name, AT)
    waiting = [
        asyncio.create_task(gate.enter(TARGET, name, AT + timedelta(minutes=at))) for name, at in (("y", 2), ("x", 1))
    ]
    await until(lambda: parked(gate, 2))
    await gate.leave(TARGET, Sent("a", "delivered", probe=False))
    assert await waiting[1] == Pass(probe=False)
    assert not waiting[0].done()
    await gate.leave(TARGET, Sent("x", "delivered", probe=False))
    assert await waiting[0] == Pass(probe=False)
    assert await parked(gate, 0)


async def test_who_waits_in_a_worker_is_called_by_another_worker_too(gate: Gate, redis: Redis) -> None:
    """Whoever frees the slot has no wire to it, but it looks itself."""
    elsewhere = Gate(redis, prefix="bull")
    for name in ("a", "b"):
        await elsewhere.enter(TARGET, name, AT)
    waiting = asyncio.create_task(gate.enter(TARGET, "c", AT))
    await until(lambda: parked(gate, 1))
    begun = time.monotonic()
    await elsewhere.leave(TARGET, Sent("a", "delivered", probe=False))
    assert await waiting == Pass(probe=False)
    assert time.monotonic() - begun < PATIENCE_S / 2


async def test_who_waits_in_vain_is_parked_and_so_are_those_that_follow(gate: Gate) -> None:
    """For a target that is slow nobody waits: places in a worker are worth more."""
    for name in ("a", "b"):
        await gate.enter(TARGET, name, AT)
    assert isinstance(await gate.enter(TARGET, "c", AT), Parked)
    begun = time.monotonic()
    assert isinstance(await gate.enter(TARGET, "d", AT), Parked)
    assert time.monotonic() - begun < PATIENCE_S / 2
    await gate.leave(TARGET, Sent("a", "delivered", probe=False, took_s=0.001))
    await gate.enter(TARGET, "a", AT)
    waiting = asyncio.create_task(gate.enter(TARGET, "e", AT))
    await gate.leave(TARGET, Sent("b", "delivered", probe=False, took_s=0.001))
    assert await waiting == Pass(probe=False), "it is quick again"


async def parked(gate: Gate, count: int) -> bool:
    """Tell whether so many wait."""
    return (await gate.health(TARGET)).parked == count


async def test_who_waits_is_sent_on_when_the_target_takes_nothing_more(gate: Gate) -> None:
    """At once: places in a worker are for those that can be sent."""
    for name in ("a", "b"):
        await gate.enter(TARGET, name, AT)
    waiting = [asyncio.create_task(gate.enter(TARGET, name, AT)) for name in ("c", "d")]
    await until(lambda: parked(gate, 2))
    begun = time.monotonic()
    await gate.leave(TARGET, Sent("a", "unknown", probe=False, wait_s=60.0))
    found = await asyncio.gather(*waiting)
    assert [one.reason for one in found if isinstance(one, Parked)] == ["throttled", "throttled"]
    assert time.monotonic() - begun < PATIENCE_S / 2


async def test_with_a_limit_of_rate_who_is_called_takes_a_token(gate: Gate) -> None:
    """It asks again, so that the limit counts it."""
    limited = Target("acme", "ep_1", concurrency=1, rate_per_s=2.0)
    await gate.enter(limited, "a", AT)
    waiting = asyncio.create_task(gate.enter(limited, "b", AT))
    await until(lambda: parked(gate, 1))
    await gate.leave(limited, Sent("a", "delivered", probe=False))
    assert await waiting == Pass(probe=False)
    await gate.leave(limited, Sent("b", "delivered", probe=False))
    found = await gate.enter(limited, "c", AT)
    assert isinstance(found, Parked)
    assert found.reason == "rate"


async def test_of_targets_the_newest_are_known() -> None:
    """What is learnt of them does not grow for ever."""
    waiting = Waiting()
    for number in range(KNOWN_TARGETS + 1):
        waiting.learn(str(number), 10.0)
    assert [waiting.is_quick(name, 25) for name in ("0", "1", str(KNOWN_TARGETS))] == [True, False, False]
