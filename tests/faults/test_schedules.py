"""Schedules whose workers and APIs are killed: each firing is one job, and none is left out."""

import json
import os
import signal
import subprocess
from functools import partial
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis

from corral.valkey import ValkeyServer
from tests.support.api_process import api_process
from tests.support.until import until
from tests.support.worker_process import worker_processes

NEVER = {"source": {"file": "sha256-" + "0" * 64}}


@pytest.mark.timeout(120)
async def test_each_firing_is_one_job_whoever_is_killed(valkey: ValkeyServer, redis: Redis, tmp_path: Path) -> None:
    """Three workers and two APIs; a worker is killed after every second firing, and the first API in between."""
    body = {"kind": "documents.convert", "payload": NEVER, "when": {"every_s": 1}}
    other = tmp_path / "other"
    other.mkdir()
    with worker_processes(valkey.url, tmp_path) as workers, api_process(valkey.url, tmp_path) as api:
        running = [workers.start("worker", "schedules") for _ in range(3)]
        async with httpx.AsyncClient(base_url=api.url, trust_env=False) as client:
            before = (await client.put("/v1/schedules/tick", json=body)).json()
        assert before["fired"] == 0
        for count in (2, 4, 6):
            await until(partial(fired, redis, count), within_s=30)
            kill(running.pop(0))
            running.append(workers.start("worker", "schedules"))
        with api_process(valkey.url, other) as second:
            os.kill(api.serving_pid, signal.SIGKILL)
            async with httpx.AsyncClient(base_url=second.url, trust_env=False) as client:
                shown = (await client.get("/v1/schedules/tick")).json()
                await until(lambda: fired(redis, 8), within_s=30)
                assert (await client.delete("/v1/schedules/tick")).status_code == 204
        assert shown["fired"] >= 5
        await until(lambda: settled(redis), within_s=30)
        firings = [str(one) for one in await redis.zrange("bull:schedules:completed", 0, -1)]
        jobs = [await job_of(redis, firing) for firing in firings]
        due = sorted(int(firing.rpartition(":")[2]) for firing in firings)
        # A slot is only left out while its predecessor waits for a dead worker's lock to run out.
        assert all((later - earlier) % 1000 == 0 for earlier, later in pairwise(due))
        assert len(set(jobs)) == len(jobs)
        assert sorted(jobs) == sorted(str(one) for one in await redis.zrange("bull:documents:prioritized", 0, -1))


def kill(worker: subprocess.Popen[bytes]) -> None:
    """End a worker as a crash does."""
    os.killpg(worker.pid, signal.SIGKILL)


async def fired(redis: Redis, count: int) -> bool:
    """Tell whether so many firings have ended."""
    return await redis.zcard("bull:schedules:completed") >= count


async def settled(redis: Redis) -> bool:
    """Tell whether no firing waits or runs, also of a worker that was killed."""
    return not await redis.exists("bull:schedules:active", "bull:schedules:wait", "bull:schedules:delayed")


async def job_of(redis: Redis, firing: str) -> str:
    """Give the job that a firing has added."""
    return str(json.loads(str(await redis.hget(f"bull:schedules:{firing}", "returnvalue")))["job_id"])
