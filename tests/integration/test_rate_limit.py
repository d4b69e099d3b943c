"""A queue with a limit of rate keeps it, and loses nothing of it (facts/bullmq.md, row 2)."""

import time
from contextlib import AsyncExitStack

import pytest
from redis.asyncio import Redis

from tests.support.fleet import Fleet, Trial, Verdict, entry, spec
from tests.support.until import until
from worker.ports import JobContext

RUN = spec()


@pytest.mark.parametrize(("workers", "concurrency"), [(1, 1), (1, 20), (3, 5)])
async def test_a_limited_queue_keeps_its_rate_within_a_tenth(
    fleet: Fleet, redis: Redis, workers: int, concurrency: int
) -> None:
    """Of 20 jobs per 0.4 s, 120 take 2.0 s: the first twenty come at once, the others window by window."""
    await redis.hset("bull:trials:meta", mapping={"max": 20, "duration": 400})
    started: list[float] = []

    async def note(_payload: Trial, _job: JobContext) -> Verdict:
        started.append(time.monotonic())
        return Verdict()

    for number in range(120):
        await fleet.add(RUN, Trial(number=number))
    async with AsyncExitStack() as running:
        for _ in range(workers):
            await running.enter_async_context(fleet.worker(entry(note), concurrency=concurrency))
        await until(lambda: len(started) == 120, within_s=20)
    took_s = started[-1] - started[0]
    assert 2.0 * 0.95 <= took_s <= 2.0 * 1.1, took_s
    for first, after in zip(started, started[20:], strict=False):
        assert after - first > 0.3
