"""What a worker process holds in memory, as it is deployed."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from bench.process_cost import memory
from corral.receiver import receiving
from corral.valkey import ValkeyServer
from producers.engine.jobs import Engine
from producers.enqueue import Enqueue, Order
from schemas.envelope import DEFAULT_TENANT, Callback
from tests.support.fleet import Trial
from tests.support.mixed_worker import FATES, MIXED
from tests.support.until import until
from tests.support.worker_process import WorkerProcesses, worker_processes

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/PID/smaps_rollup"),
]

_AT_ONCE = 100
# A callback that is to be tried again may be delayed by minutes: nobody waits for it here.
_UNENDED = {"trials": ("waiting", "active", "delayed"), "callbacks": ("waiting", "active")}


@pytest.fixture
def workers(
    redis: Redis,  # noqa: ARG001 - empties the server
    valkey: ValkeyServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[WorkerProcesses]:
    """Workers that are not watched: what counts their lines would be counted with them."""
    for name in ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"):
        monkeypatch.delenv(name, raising=False)
    with worker_processes(valkey.url, tmp_path) as running:
        yield running


async def is_idle(redis: Redis) -> bool:
    """See that a worker waits for its first job."""
    return any(client["cmd"] == "bzpopmin" for client in await redis.client_list())


async def test_an_idle_worker_takes_70_mb_at_the_most(workers: WorkerProcesses, redis: Redis) -> None:
    """Resident, in a worker that does not serve documents."""
    process = workers.start("worker", "callbacks", "schedules", allow_loopback="false")
    await until(lambda: is_idle(redis), within_s=60)
    assert memory(process.pid).rss_mb <= 70


async def test_five_thousand_jobs_leave_nothing_in_a_worker(workers: WorkerProcesses, redis: Redis) -> None:
    """Whatever became of them. What is loaded on use comes first, and a kilobyte a job would be seen."""
    engine = Engine(redis, prefix="bull", keep_finished_s=60)
    process = workers.start("tests.support.mixed_worker", log_level="error")
    with receiving(workers.secret) as receiver:
        await run_jobs(engine, 2_000, receiver.url)
        before = memory(process.pid)
        await run_jobs(engine, 5_000, receiver.url)
    assert process.poll() is None
    assert memory(process.pid).rss_mb - before.rss_mb <= 3


async def run_jobs(engine: Engine, count: int, url: str) -> None:
    """Have jobs of every fate done, some of them with callbacks, and wait for the end of all."""
    enqueue, callback = Enqueue(engine, idempotency_s=60), Callback.model_validate({"url": url})
    numbers = iter(range(count))

    async def add() -> None:
        for number in numbers:
            heard = None if number // FATES % 4 else callback
            await enqueue(Order(MIXED, Trial(text="x" * 200, number=number), DEFAULT_TENANT, heard))

    async def all_ended() -> bool:
        found = {queue: await engine.counts(queue) for queue in _UNENDED}
        return not any(found[queue][state] for queue, states in _UNENDED.items() for state in states)

    await asyncio.gather(*(add() for _ in range(_AT_ONCE)))
    await until(all_ended, within_s=120)
