"""The gate: limits, the breaker and the line of what waits, by a clock that the test turns."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from producers.callbacks.endpoint_records import EndpointRecords
from producers.callbacks.gate import Breaker, Gate, Parked, Pass, Result, Sent, Target

AT = datetime(2026, 1, 1, tzinfo=UTC)
TARGET = Target("acme", "ep_1", concurrency=2)
RULE = Breaker(failures=3, probe_s=10, longest_probe_s=40, disable_after_s=1_000)


@dataclass
class Clock:
    """Stands until it is turned."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        """Give the seconds since 1970."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The gate's clock."""
    return Clock()


@pytest.fixture
async def gate(redis: Redis, clock: Clock) -> Gate:
    """A gate whose breaker opens after three failures, and an endpoint."""
    await redis.hset("corral:bull:endpoints:acme", TARGET.id, "{}")
    return Gate(redis, prefix="bull", breaker=RULE, clock=clock)


async def sent(gate: Gate, result: Result, job_id: str = "j", **changes: object) -> str:
    """Send one and say what came of it; give what changed."""
    found = await gate.enter(TARGET, job_id, AT)
    assert isinstance(found, Pass), found
    return await gate.leave(TARGET, replace(Sent(job_id, result, found.probe), **changes))  # type: ignore[arg-type]  # fields


async def why(gate: Gate, job_id: str = "other", *, target: Target = TARGET, on_request: bool = False) -> str:
    """Ask for another, and give why it is not sent; empty when it is."""
    found = await gate.enter(target, job_id, AT, on_request=on_request)
    if isinstance(found, Parked):
        return found.reason
    await gate.leave(target, Sent(job_id, "unknown", found.probe, on_request=on_request))
    return ""


async def test_no_more_at_once_than_the_target_may_have(gate: Gate, clock: Clock) -> None:
    """The third waits for one of two; a slot that a killed worker left is free when its lease has run out."""
    first, second = await gate.enter(TARGET, "a", AT), await gate.enter(TARGET, "b", AT)
    assert (first, second) == (Pass(probe=False), Pass(probe=False))
    assert await why(gate) == "busy"
    assert await gate.enter(TARGET, "a", AT) == Pass(probe=False), "its worker was killed, and another has it"
    assert await why(gate, target=replace(TARGET, tenant="other")) == ""
    clock.now += 31
    assert await why(gate) == ""


async def test_a_free_slot_is_the_oldest_ones(gate: Gate, redis: Redis) -> None:
    """Whoever comes in between does not get it; nor does one that is neither delayed yet nor waits in a worker."""
    for name in ("a", "b"):
        await gate.enter(TARGET, name, AT)
    for name, minutes in (("new", 3), ("oldest", 1), ("old", 2), ("on its way", 0)):
        assert isinstance(await gate.enter(TARGET, name, AT + timedelta(minutes=minutes)), Parked)
    await redis.zadd("bull:callbacks:delayed", {"new": 1, "oldest": 1, "old": 1})
    await gate.leave(TARGET, Sent("a", "delivered", probe=False))
    assert await redis.zrange("corral:bull:target:acme:ep_1:parked", 0, -1) == ["on its way", "old", "new"]
    assert await redis.zrange("bull:callbacks:delayed", 0, -1) == ["new", "old"]
    assert await why(gate, "comes in between") == "busy"
    assert await gate.enter(TARGET, "oldest", AT) == Pass(probe=False)


async def test_no_more_a_second_than_the_target_may_have(gate: Gate, clock: Clock) -> None:
    """Four a second: four at once, and then one each quarter of a second; below one a second, one at a time."""
    quick, slow = replace(TARGET, rate_per_s=4.0), Target("acme", "ep_2", rate_per_s=0.1)
    assert [await why(gate, target=quick) for _ in range(6)] == ["", "", "", "", "rate", "rate"]
    clock.now += 0.25
    assert [await why(gate, target=quick) for _ in range(2)] == ["", "rate"]
    found = await gate.enter(slow, "a", AT)
    assert isinstance(found, Pass)
    waits = [await gate.enter(slow, name, AT) for name in ("b", "c", "d")]
    assert [round(one.delay_s) for one in waits if isinstance(one, Parked)] == [10, 20, 30]


async def test_the_breaker_opens_after_failures_in_a_row_and_probes(gate: Gate, clock: Clock) -> None:
    """One probe at a time, each twice as late up to the longest wait; a success closes it."""
    assert [await sent(gate, "failed") for _ in range(2)] == ["", ""]
    assert await sent(gate, "delivered") == ""
    assert [await sent(gate, "failed") for _ in range(3)] == ["", "", "opened"]
    for wait_s in (10, 20, 40, 40):
        assert await why(gate) == "open"
        clock.now += wait_s - 0.1
        assert await why(gate) == "open"
        clock.now += 0.2
        probe = await gate.enter(TARGET, "probe", AT)
        assert probe == Pass(probe=True)
        assert await why(gate) == "open", "one probe at a time"
        assert await gate.leave(TARGET, Sent("probe", "failed", probe=True)) == "opened"
    assert (await gate.health(TARGET)).breaker == "open"
    clock.now += 41
    assert await sent(gate, "delivered", "probe") == "closed"
    health = await gate.health(TARGET)
    assert (health.breaker, health.failures, health.failing_since) == ("closed", 0, None)


async def test_a_probe_whose_worker_was_killed_is_followed_by_another(gate: Gate, clock: Clock) -> None:
    """Nobody has to say that it is over."""
    for _ in range(3):
        await sent(gate, "failed")
    clock.now += 11
    assert await gate.enter(TARGET, "probe", AT) == Pass(probe=True)
    clock.now += 31
    assert await gate.enter(TARGET, "next", AT) == Pass(probe=True)


async def test_what_was_under_way_when_the_breaker_opened_does_not_open_it_further(gate: Gate, clock: Clock) -> None:
    """Twenty that fail at once are one outage, not twenty."""
    wide = replace(TARGET, concurrency=20)
    for number in range(20):
        await gate.enter(wide, f"j{number}", AT)
    changes = [await gate.leave(wide, Sent(f"j{number}", "failed", probe=False)) for number in range(20)]
    assert [one for one in changes if one] == ["opened"]
    clock.now += 10.1
    assert await gate.enter(wide, "probe", AT) == Pass(probe=True)


async def test_a_pause_that_the_receiver_asks_for_holds_for_all(gate: Gate, clock: Clock) -> None:
    """Also for what somebody asks for; without a time it is a second, then two, up to a minute."""
    assert await sent(gate, "unknown", wait_s=7.0) == ""
    assert (await why(gate), await why(gate, on_request=True)) == ("throttled", "throttled")
    clock.now += 7.1
    for wait_s in (1, 2, 4, 8, 16, 32, 60, 60):
        await sent(gate, "unknown", wait_s=0.0)
        clock.now += wait_s - 0.1
        assert await why(gate) == "throttled"
        clock.now += 0.2
    await sent(gate, "delivered")
    await sent(gate, "unknown", wait_s=0.0)
    clock.now += 1.1
    assert await why(gate) == ""


async def test_a_target_that_fails_for_days_is_disabled_once(gate: Gate, clock: Clock, redis: Redis) -> None:
    """Not by two failures that lie far apart, and a success begins the count anew."""
    await sent(gate, "failed")
    clock.now += 2_000
    assert await sent(gate, "failed") == ""
    await sent(gate, "delivered")
    assert [await sent(gate, "failed") for _ in range(3)] == ["", "", "opened"]
    clock.now += 999
    assert await sent(gate, "failed", "probe") == "opened"
    clock.now += 41
    assert await sent(gate, "failed", "probe") == "disabled"
    clock.now += 1_000
    assert await why(gate) == "disabled"
    disabled = await EndpointRecords(redis, "bull").disabled("acme")
    assert disabled["ep_1"].reason == "failing"
    await gate.enable(TARGET)
    assert await why(gate) == ""
    assert await EndpointRecords(redis, "bull").disabled("acme") == {}


async def test_gone_disables_at_once(gate: Gate, redis: Redis) -> None:
    """The receiver has said so itself."""
    assert await sent(gate, "gone") == "disabled"
    assert await why(gate) == "disabled"
    assert (await EndpointRecords(redis, "bull").disabled("acme"))["ep_1"].reason == "gone"


async def test_an_endpoint_that_was_deleted_is_not_disabled(gate: Gate, redis: Redis) -> None:
    """Its owner deletes it while the worker has its answer in hand: nothing of it stays."""
    await redis.delete("corral:bull:endpoints:acme")
    assert await sent(gate, "gone") == ""
    await gate.disable(TARGET)
    assert await EndpointRecords(redis, "bull").disabled("acme") == {}


async def test_what_somebody_asks_for_is_sent_and_teaches_nothing(gate: Gate) -> None:
    """The breaker neither holds a replay nor learns of it, whatever comes of it."""
    for _ in range(3):
        await sent(gate, "failed")
    before = await gate.health(TARGET)
    for result in ("failed", "delivered", "gone"):
        assert await gate.enter(TARGET, "replay", AT, on_request=True) == Pass(probe=False)
        assert await gate.leave(TARGET, Sent("replay", result, probe=False, on_request=True)) == ""
    assert await gate.health(TARGET) == before
    await gate.disable(TARGET)
    assert await why(gate, on_request=True) == ""


async def test_nothing_of_a_target_stays_for_ever(gate: Gate, redis: Redis) -> None:
    """State, slots and line run out; the test's own end looks as well."""
    for name in ("a", "b", "c", "d"):
        await gate.enter(replace(TARGET, rate_per_s=50), name, AT)
    await gate.leave(TARGET, Sent("a", "failed", probe=False))
    keys = [key async for key in redis.scan_iter(match="corral:bull:target:*")]
    assert len(keys) == 3
    assert all([await redis.ttl(key) > 30 * 24 * 3600 for key in keys])


steps = st.lists(
    st.tuples(st.sampled_from(["enter", "delivered", "failed", "unknown", "wait"]), st.integers(0, 5)), max_size=40
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
async def test_whatever_happens_the_slots_hold_no_more_than_the_limit(
    gate: Gate, clock: Clock, redis: Redis, steps: list[tuple[str, int]]
) -> None:
    """And nobody is both under way and in the line."""
    await redis.flushall()
    under_way: dict[str, bool] = {}
    for step, number in steps:
        job = f"j{number}"
        if step == "enter":
            found = await gate.enter(TARGET, job, AT + timedelta(seconds=number))
            under_way |= {job: found.probe} if isinstance(found, Pass) else {}
        elif step == "wait":
            clock.now += number * 7
            under_way = {} if number == 5 else under_way
        elif job in under_way:
            await gate.leave(TARGET, Sent(job, cast("Result", step), under_way.pop(job)))
        home = "corral:bull:target:acme:ep_1"
        slots, line = await redis.zrange(f"{home}:slots", 0, -1), await redis.zrange(f"{home}:parked", 0, -1)
        assert len(slots) <= TARGET.concurrency
        assert not set(slots) & set(line)
