"""When a queue counts as passed over: a job could be taken, there is room for it, and none is taken."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from redis.asyncio import Redis

from producers import connection
from producers.engine.queues import EngineQueue
from producers.engine.ready import ready
from schemas.errors import EngineUnavailable
from schemas.outcome import Completed, Outcome
from schemas.queue_status import QueueLimits, RateLimit
from tests.support.fleet import QUEUE, Fleet, Trial, Verdict, entry, hang, spec
from tests.support.until import passed, until
from worker.consumer_options import ConsumerOptions
from worker.context import Delivery
from worker.served_queue import ServedQueue
from worker.watchdog import Watchdog

LIMIT_S = 1.0
Make = Callable[[Delivery], Awaitable[Outcome]]


async def is_ready(redis: Redis) -> bool:
    """Tell whether a job could be taken, beside an empty queue that has none."""
    found = await ready(redis, "bull", ["empty", QUEUE])
    assert "empty" not in found
    return QUEUE in found


@pytest.mark.parametrize("options", [{}, {"priority": 3}, {"delay": 1}], ids=["plain", "prioritized", "due"])
async def test_a_job_that_waits_or_is_due_is_ready(fleet: Fleet, options: dict[str, Any]) -> None:
    """Wherever it waits; and when the queue is paused it is not."""
    assert not await is_ready(fleet.redis)
    await fleet.add_raw({}, **options)
    await until(lambda: is_ready(fleet.redis))
    await EngineQueue(fleet.redis, prefix="bull", queue=QUEUE).pause()
    assert not await is_ready(fleet.redis)


async def test_a_job_whose_time_has_not_come_is_not_ready(fleet: Fleet) -> None:
    """Delayed is not late."""
    await fleet.add_raw({}, delay=60_000)
    assert not await is_ready(fleet.redis)


async def test_a_job_behind_a_limit_of_concurrency_is_not_ready(fleet: Fleet) -> None:
    """As many run as may; one more, and it is."""
    trials = EngineQueue(fleet.redis, prefix="bull", queue=QUEUE)
    await trials.limit(QueueLimits(concurrency=1))
    for _ in range(2):
        await fleet.add_raw({})
    async with fleet.worker(entry(hang), concurrency=1):
        await until(lambda: fleet.redis.exists(f"bull:{QUEUE}:active"))
        assert not await is_ready(fleet.redis)
        await trials.limit(QueueLimits(concurrency=2))
        assert await is_ready(fleet.redis)
    await trials.limit(QueueLimits())


async def test_a_job_behind_a_limit_of_rate_is_not_ready(fleet: Fleet) -> None:
    """Until its time is over."""
    await EngineQueue(fleet.redis, prefix="bull", queue=QUEUE).limit(QueueLimits(rate=RateLimit(jobs=1, per_s=2)))
    for _ in range(2):
        await fleet.add_raw({})
    async with fleet.worker(entry(hang), concurrency=1):
        await until(lambda: fleet.redis.exists(f"bull:{QUEUE}:limiter"))
        assert not await is_ready(fleet.redis)
        await until(lambda: is_ready(fleet.redis))


async def test_a_queue_that_is_no_queue_is_the_servers_trouble(redis: Redis) -> None:
    """Somebody has written something else there."""
    await redis.set(f"bull:{QUEUE}:wait", "what", ex=60)
    with pytest.raises(EngineUnavailable):
        await is_ready(redis)


async def done(_delivery: Delivery) -> Outcome:
    """Take a moment over a job."""
    await asyncio.sleep(0)
    return Completed.of(Verdict())


async def endless(_delivery: Delivery) -> Outcome:
    """Never end."""
    await asyncio.Event().wait()
    return Completed.of(Verdict())


@asynccontextmanager
async def watched(fleet: Fleet, attempt: Make, *, concurrency: int) -> AsyncIterator[tuple[ServedQueue, Watchdog]]:
    """Serve the queue under a watchdog that is soon impatient."""
    options = ConsumerOptions(queue=QUEUE, prefix="bull", name="test", lock_s=10, crashes=3, keep_finished_s=60)
    queue = ServedQueue(options, attempt, partial(connection.patient, fleet.url), concurrency=concurrency)
    async with connection.fail_fast(fleet.url) as pulse:
        watchdog = Watchdog(pulse, [queue], prefix="bull", limit_s=LIMIT_S)
        tasks = [asyncio.create_task(queue.run()), asyncio.create_task(watchdog.run())]
        try:
            await until(lambda: queue.well)
            yield queue, watchdog
            assert not tasks[1].done()
        finally:
            queue.stop()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


async def test_a_queue_without_room_is_not_passed_over(fleet: Fleet) -> None:
    """Jobs wait, and as many run as may run here."""
    jobs = [await fleet.add(spec(), Trial()) for _ in range(3)]
    async with watched(fleet, endless, concurrency=1) as (queue, _):
        await passed(2.5 * LIMIT_S)
        assert queue.trouble == ""
        assert queue.status().jobs == jobs[:1]


async def test_workers_that_share_a_line_are_not_passed_over(fleet: Fleet) -> None:
    """There is always a job in the line, each has room now and then, and takes what it gets."""
    ended = f"bull:{QUEUE}:completed"
    async with watched(fleet, done, concurrency=1) as (one, _), watched(fleet, done, concurrency=20) as (other, _):
        async with asyncio.timeout(2.5 * LIMIT_S + 10):
            begun = asyncio.get_running_loop().time()
            while asyncio.get_running_loop().time() - begun < 2.5 * LIMIT_S:
                await asyncio.gather(*(fleet.add(spec(), Trial()) for _ in range(50)))
        assert (one.trouble, other.trouble) == ("", "")
        await until(lambda: empty(fleet))
    assert await fleet.redis.zcard(ended) > 100


async def test_a_server_that_is_full_is_an_outage(fleet: Fleet) -> None:
    """It answers, and refuses what a worker has to write: a new process would do no better, so none is asked for."""
    before = str((await fleet.redis.config_get("maxmemory"))["maxmemory"])
    async with watched(fleet, done, concurrency=1) as (queue, watchdog):
        job_id = await fleet.add_raw({}, delay=500)
        await fleet.redis.config_set("maxmemory", "1mb")
        try:
            await until(lambda: not watchdog.engine_up)
            await passed(2.5 * LIMIT_S)
            assert queue.trouble == ""
        finally:
            await fleet.redis.config_set("maxmemory", before)
        await fleet.ended(job_id)
        await until(lambda: watchdog.engine_up)


async def test_a_server_that_has_become_a_replica_is_no_outage(fleet: Fleet) -> None:
    """Its name may lead to another by now: the queue is read over new connections, and in the end by a new process."""
    async with watched(fleet, done, concurrency=1) as (queue, watchdog):
        await fleet.redis.replicaof("127.0.0.1", "1")
        try:
            await until(lambda: queue.trouble == "cannot be read, though the server answers")
            assert watchdog.engine_up
        finally:
            await fleet.redis.replicaof("NO", "ONE")


async def empty(fleet: Fleet) -> bool:
    """Tell whether nothing waits or runs."""
    return not await fleet.redis.exists(f"bull:{QUEUE}:wait", f"bull:{QUEUE}:active")
