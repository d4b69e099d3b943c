"""What ``corral doctor`` finds in the queues of a server."""

import asyncio
from datetime import UTC, datetime

import pytest
from redis.asyncio import Redis

from corral.queue_findings import look_at_queues
from producers.engine.orphan import Orphans
from producers.engine.schedulers import EngineSchedules
from schemas.jobs.schedules import FIRE
from schemas.schedule import Cron
from tests.support.command import corral
from tests.support.fleet import QUEUE, Fleet, Trial, entry, hang, spec, succeed
from tests.support.node import interop, needs_node
from tests.support.until import until


@pytest.fixture
def orphans(redis: Redis) -> Orphans:
    """The tests' queue, looked through."""
    return Orphans(redis, prefix="bull", queue=QUEUE)


async def findings(redis: Redis, *queues: str) -> list[str]:
    """Give what is found wrong."""
    found = await look_at_queues(redis, "bull", queues or (QUEUE,))
    return [finding.what for finding in found if finding.remedy]


async def test_a_queue_with_jobs_in_every_state_is_well(fleet: Fleet, redis: Redis) -> None:
    """Waiting, delayed, prioritized, a parent, completed: each is in its place, as is a schedule."""
    done = await fleet.add(spec(), Trial())
    async with fleet.worker(entry(succeed)):
        await fleet.ended(done)
    await fleet.add_raw({})
    await fleet.add_raw({}, delay=60_000)
    await fleet.add_raw({}, priority=3)
    schedules = EngineSchedules(redis, prefix="bull", spec=FIRE, keep_finished_s=60)
    await schedules.put("default.yearly", Cron(cron="0 0 1 1 *"), {})
    assert await findings(redis, QUEUE, FIRE.queue) == []


@pytest.mark.parametrize("count", [1, 7, 1200])
async def test_jobs_that_no_list_knows_are_found(orphans: Orphans, fleet: Fleet, redis: Redis, count: int) -> None:
    """All of them, and none that is merely waiting."""
    await fleet.add_raw({})
    pipe = redis.pipeline()
    for number in range(count):
        pipe.hset(f"bull:{QUEUE}:lost-{number}", mapping={"name": "run", "timestamp": 1, "data": "{}"})
        pipe.expire(f"bull:{QUEUE}:lost-{number}", 60)
    await pipe.execute()
    assert len(await orphans.unlisted()) == count
    (what,) = await findings(redis)
    assert what.startswith(f"{QUEUE}: lost-0")
    assert ("more in no list" in what) == (count > 5)


async def test_jobs_that_move_while_they_are_looked_for_are_not_lost(orphans: Orphans, fleet: Fleet) -> None:
    """A busy queue has no orphans."""
    async with fleet.worker(entry(succeed)):
        adding = asyncio.gather(*(fleet.add(spec(), Trial()) for _ in range(50)))
        for _ in range(5):
            assert await orphans.unlisted() == []
        for job_id in await adding:
            await fleet.ended(job_id)


async def test_active_jobs_of_a_dead_worker_are_found_when_nobody_will_take_them_over(
    fleet: Fleet, redis: Redis, orphans: Orphans
) -> None:
    """With a worker there it is the worker's to do."""
    job_id = await fleet.add(spec(), Trial())
    await redis.rpoplpush(f"bull:{QUEUE}:wait", f"bull:{QUEUE}:active")
    assert await findings(redis) == [f"{QUEUE}: {job_id} active without a lock"]
    async with fleet.worker(entry(hang)):
        await until(lambda: well(redis))
    assert await orphans.unlisted() == []


async def test_a_schedule_without_a_next_firing_is_found(redis: Redis) -> None:
    """It would never fire again, and nobody would hear of it."""
    schedules = EngineSchedules(redis, prefix="bull", spec=FIRE, keep_finished_s=60)
    await schedules.put("default.yearly", Cron(cron="0 0 1 1 *"), {})
    (firing,) = map(str, await redis.zrange("bull:schedules:delayed", 0, -1))
    await redis.zrem("bull:schedules:delayed", firing)
    await redis.delete(f"bull:schedules:{firing}")
    assert await findings(redis, FIRE.queue) == ["schedules: schedule default.yearly has no next firing"]
    await schedules.put("default.yearly", Cron(cron="0 0 1 1 *"), {})
    assert await findings(redis, FIRE.queue) == []


async def test_another_generation_of_bullmq_is_found(redis: Redis) -> None:
    """By the version it has left, and by the list that only it has."""
    await redis.hset(f"bull:{QUEUE}:meta", "version", "bullmq:5.58.2")
    await redis.lpush(f"bull:{QUEUE}:paused", "1")
    assert await findings(redis) == [
        f"bull:{QUEUE}: bullmq:5.58.2 has been here",
        f"bull:{QUEUE}:paused: jobs that BullMQ 5 has put aside",
    ]


@needs_node
async def test_the_generation_that_we_speak_is_well(fleet: Fleet, redis: Redis) -> None:
    """Node's BullMQ 6 leaves its version, and doctor has nothing against it."""
    await interop(fleet.url, QUEUE, "watch_nothing")
    assert str(await redis.hget(f"bull:{QUEUE}:meta", "version")).startswith("bullmq:6.")
    assert await findings(redis) == []


async def test_doctor_looks_at_the_queues_of_its_server(fleet: Fleet, redis: Redis) -> None:
    """A lost document is one line, and exit code 1."""
    made_at = round(datetime.now(UTC).timestamp())
    await redis.hset("bull:documents:lost", mapping={"name": "convert", "timestamp": made_at})
    await redis.expire("bull:documents:lost", 60)
    ended = await corral("doctor", CORRAL_REDIS_URL=fleet.url)
    assert ended.code == 1
    assert "FAIL  documents: lost in no list: no worker will find them" in ended.out
    await redis.delete("bull:documents:lost")
    assert "every job is in its place" in (await corral("doctor", CORRAL_REDIS_URL=fleet.url)).out


async def well(redis: Redis) -> bool:
    """Tell whether nothing is found wrong."""
    return await findings(redis) == []
