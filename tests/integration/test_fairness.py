"""Who is next when several tenants wait: the script on a real server, then real workers."""

import time
from collections import Counter
from typing import Any

import pytest
from bullmq import Worker
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from producers.engine.fairness import Fairness
from producers.engine.jobs import Engine, NewJob, Tenants
from producers.engine.joined_script import JoinedScripts
from schemas import job_id as ids
from schemas.envelope import Envelope
from schemas.errors import Retryable
from schemas.job_spec import RetryPolicy
from tests.support.fleet import QUEUE, Fleet, Seen, Trial, entry, hang, raising, spec
from tests.support.until import until

RUN = spec()
TENANTS = ["acme", "bolt", "default"]
WEIGHTS = {"acme": 3.0, "bolt": 0.5}
UNIT = 2**32


@pytest.fixture
async def fair(redis: Redis) -> Fleet:
    """Jobs that get their place among tenants of weight 1."""
    return Fleet(redis, Engine(redis, prefix="bull", keep_finished_s=3600, tenants=Tenants(Fairness(redis))))


async def add(fleet: Fleet, tenant: str, number: int = 0, *, delay_s: float = 0.0) -> str:
    """Add a job of a tenant."""
    data = Envelope(tenant=tenant).wrap(Trial(number=number))
    job = NewJob(ids.new(QUEUE), RUN, data, delay_s=delay_s)
    await fleet.engine.add(job)
    return job.id


async def later(seconds: float) -> None:
    """Return when so much time has passed."""
    due = time.monotonic() + seconds
    await until(lambda: time.monotonic() > due)


async def take(fleet: Fleet, many: int = 1) -> list[str]:
    """Take jobs in the order in which any worker gets them, and tell whose they are."""
    worker = Worker(QUEUE, None, {"connection": fleet.redis, "autorun": False})
    taken = [await worker.getNextJob("0") for _ in range(many)]
    return [job.data.get("_corral", {}).get("tenant", "plain") for job in taken if job]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from([*TENANTS, *TENANTS, "take"]), max_size=60))
async def test_any_mix_of_adds_and_takes_is_fair_and_in_order(redis: Redis, steps: list[str]) -> None:
    """Who waits all the time gets its share within one job of each; a tenant's own jobs keep their order."""
    await redis.flushall()
    fairness, scripts = Fairness(redis, WEIGHTS), JoinedScripts(redis)
    waiting: dict[str, list[str]] = {tenant: [] for tenant in TENANTS}
    served: Counter[str] = Counter()
    since: dict[tuple[str, str], tuple[int, int]] = {}
    for number, step in enumerate([*steps, *["take"] * len(steps)]):
        if step == "take":
            popped: Any = await redis.zpopmin("bull:q:prioritized")
            if not popped:
                continue
            tenant = popped[0][0].partition("-")[0]
            assert waiting[tenant].pop(0) == popped[0][0]
            served[tenant] += 1
        else:
            job = f"{step}-{number}"
            waiting[step].append(job)
            await redis.hset(f"bull:q:{job}", "name", "x")
            await redis.incr("bull:q:pc")
            await redis.zadd("bull:q:prioritized", {job: UNIT + number})
            await scripts.run(fairness.place("bull:q", job, step))
        for one in TENANTS:
            for other in TENANTS:
                if not (waiting[one] and waiting[other]):
                    since.pop((one, other), None)
                    continue
                a, b = since.setdefault((one, other), (served[one], served[other]))
                share = (served[one] - a) / WEIGHTS.get(one, 1) - (served[other] - b) / WEIGHTS.get(other, 1)
                # Theorem 1, and one more unit because a tag is a whole number.
                assert abs(share) <= 1 / WEIGHTS.get(one, 1) + 1 / WEIGHTS.get(other, 1) + 1
    assert not any(waiting.values())
    await redis.flushall()


async def test_a_late_tenant_stands_beside_the_head_of_the_line(fair: Fleet) -> None:
    """With a hundred jobs ahead the other's three are the second, fourth and sixth that are taken."""
    for number in range(100):
        await add(fair, "acme", number)
    for number in range(3):
        await add(fair, "bolt", number)
    assert await take(fair, 7) == ["acme", "bolt", "acme", "bolt", "acme", "bolt", "acme"]


async def test_plain_jobs_of_others_neither_starve_nor_are_starved(fair: Fleet) -> None:
    """A Node program's hundred jobs wait in the engine's own list: the next add gives them a place."""
    for _ in range(100):
        await fair.add_raw({})
    await add(fair, "acme")
    taken = await take(fair, 4)
    assert taken[:2] in (["acme", "plain"], ["plain", "acme"])
    assert taken[2:] == ["plain", "plain"]
    await fair.add_raw({})
    assert await take(fair) == ["plain"]


async def test_a_priority_of_its_own_is_kept(fair: Fleet) -> None:
    """And one that lies far off does not set the time for others."""
    await fair.add_raw({}, priority=1_500_000)
    await add(fair, "acme")
    await add(fair, "bolt")
    first = await fair.add_raw({}, priority=1)
    await add(fair, "acme")
    assert await fair.redis.zscore("bull:trials:prioritized", first.partition("_")[2]) == UNIT + 4
    assert await take(fair, 5) == ["plain", "acme", "bolt", "acme", "plain"]


async def test_jobs_that_come_back_take_their_place_at_their_own_tenants_end(fair: Fleet) -> None:
    """Thirty retries of one tenant, due at once, do not pass before another's first job."""
    kind = spec(retry=RetryPolicy(attempts=2, base_s=600.0))
    for number in range(30):
        await add(fair, "acme", number)
    async with fair.worker(entry(raising(Retryable("again")), kind)):
        await until(lambda: retrying(fair, 30))
    delayed: Any = await fair.redis.zrange("bull:trials:delayed", 0, -1)
    await fair.redis.zadd("bull:trials:delayed", dict.fromkeys(delayed, 1))
    assert await take(fair) == ["acme"]
    await add(fair, "bolt")
    await add(fair, "bolt")
    assert (await take(fair, 4)).count("bolt") == 2


async def retrying(fleet: Fleet, many: int) -> bool:
    """Tell whether so many jobs wait for their next attempt."""
    return await fleet.redis.zcard("bull:trials:delayed") == many


async def test_delayed_jobs_that_are_due_do_not_pass_another_tenant(fair: Fleet) -> None:
    """They were added first and come back all at once."""
    for number in range(20):
        await add(fair, "acme", number, delay_s=0.05)
    await add(fair, "bolt")
    assert await fair.redis.zcard("bull:trials:delayed") == 20
    await later(0.06)
    await take(fair, 1)
    await add(fair, "bolt")
    await add(fair, "bolt")
    assert (await take(fair, 4)).count("bolt") == 2


async def test_tags_begin_anew_when_nobody_waits_and_move_down_when_they_grow(fair: Fleet) -> None:
    """A tag is far from the engine's greatest priority again, and the order is as it was."""
    first, other = await add(fair, "acme"), await add(fair, "bolt")
    await fair.redis.zincrby("bull:trials:prioritized", 1_100_000 * UNIT, first)
    await fair.redis.zincrby("bull:trials:prioritized", 1_100_001 * UNIT, other)
    await fair.redis.hset("bull:trials:fair", mapping={"t:acme": 1_100_003, "t:bolt": 1_100_005, "last": 1_100_005})
    await add(fair, "acme")
    found: Any = await fair.redis.zrange("bull:trials:prioritized", 0, -1, withscores=True)
    assert [int(score // UNIT) for _, score in found] == [2, 3, 5]
    assert await take(fair, 3) == ["acme", "bolt", "acme"]
    await add(fair, "acme")
    assert await fair.redis.hget("bull:trials:fair", "last") == "1"


async def test_a_job_of_a_known_id_keeps_its_place(fair: Fleet) -> None:
    """Adding it again changes neither its tag nor its tenant's next."""
    job = NewJob(ids.new(QUEUE), RUN, Envelope(tenant="acme").wrap(Trial()))
    await fair.engine.add(job)
    before = await fair.redis.zscore("bull:trials:prioritized", job.id)
    await fair.engine.add(job)
    assert await fair.redis.zscore("bull:trials:prioritized", job.id) == before
    assert await fair.redis.hget("bull:trials:fair", "t:acme") == "1"


async def test_an_interrupted_job_is_next(fair: Fleet) -> None:
    """A job whose worker stopped goes before its own tenant's line and before other tenants."""
    first = await add(fair, "acme")
    for number in range(50):
        await add(fair, "acme", number)
    async with fair.worker(entry(hang), concurrency=1) as worker:
        await until(lambda: fair.redis.llen("bull:trials:active"))
        worker.stop()
    await until(lambda: fair.redis.zcard("bull:trials:delayed"))
    for _ in range(3):
        await add(fair, "bolt")
    seen = Seen()
    async with fair.worker(entry(seen), concurrency=1):
        await until(lambda: len(seen.runs) >= 5)
    assert seen.runs[0].id == first
    assert [job.tenant for job in seen.runs[1:5]].count("bolt") == 2


async def test_who_came_past_is_levelled_without_an_add(fair: Fleet) -> None:
    """A Node program goes on adding after a tenant's last job: that one is not starved."""
    for _ in range(3):
        await add(fair, "acme")
    for _ in range(100):
        await fair.add_raw({})
    await Fairness(fair.redis).level("bull:trials")
    assert (await take(fair, 6)).count("acme") == 3


async def test_where_nobody_is_fair_the_plain_line_is_left_alone(fair: Fleet) -> None:
    """Neither jobs of others nor a line that nobody has a tag in are touched."""
    for _ in range(5):
        await fair.add_raw({})
    await Fairness(fair.redis).level("bull:trials")
    assert await fair.redis.llen("bull:trials:wait") == 5
