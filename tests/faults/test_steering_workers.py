"""The operator looks at real worker processes over the API and steers one of them while it runs."""

import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from producers.api.app import build
from producers.engine.jobs import Engine
from producers.settings import ApiSettings
from schemas import VERSION
from schemas.job_spec import catalogue
from schemas.job_status import JobState
from tests.conftest import serving
from tests.support.faulty_worker import HANG
from tests.support.fleet import QUEUE, Fleet, Trial
from tests.support.key_leak import leaked_keys
from tests.support.until import until
from tests.support.worker_process import WorkerProcesses

pytestmark = pytest.mark.timeout(120)

Seen = Callable[[], Awaitable[list[dict[str, Any]]]]


@pytest.fixture
async def fleet(workers: WorkerProcesses) -> AsyncIterator[Fleet]:
    """Jobs on that Valkey; in the end no key is left that nobody owns."""
    async with Redis.from_url(workers.url, decode_responses=True) as redis:
        yield Fleet(redis, Engine(redis, prefix="bull", keep_finished_s=3600))
        assert await leaked_keys(redis) == []


@pytest.fixture
async def operator(workers: WorkerProcesses, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an API on that Valkey."""
    settings = ApiSettings(redis_url=workers.url, data_folder=tmp_path)
    async with serving(build(settings, {HANG.kind: HANG, **catalogue()})) as client:
        yield client


@pytest.fixture
def seen(operator: httpx.AsyncClient) -> Seen:
    """What the API says of the workers."""

    async def look() -> list[dict[str, Any]]:
        return list((await operator.get("/v1/workers")).json()["workers"])

    return look


def trials(worker: dict[str, Any]) -> dict[str, Any]:
    """Give what a worker says of the tests' queue."""
    (served,) = [one for one in worker["queues"] if one["queue"] == QUEUE]
    return dict(served)


def begun(folder: Path) -> int:
    """Count the runs that have begun."""
    return len(list(folder.glob("go.trials_*")))


def ran(folder: Path) -> list[str]:
    """Name the jobs that have begun."""
    return [path.suffixes[-2][1:] for path in folder.glob("go.trials_*")]


async def hanging(fleet: Fleet, folder: Path, count: int) -> list[str]:
    """Add jobs that wait for the word."""
    return [await fleet.add(HANG, Trial(text=str(folder / "go"))) for _ in range(count)]


async def test_a_worker_says_what_it_is_and_does(workers: WorkerProcesses, fleet: Fleet, seen: Seen) -> None:
    """Host, version, memory, places and jobs; off the list when it stops, and 15 s after it was killed."""
    process = workers.start(concurrency='{"trials": 3}')
    (job_id,) = await hanging(fleet, workers.folder, 1)

    async def busy() -> dict[str, Any] | None:
        return next((one for one in await seen() if trials(one)["jobs"] == [job_id]), None)

    worker = await until(busy)
    assert worker is not None
    assert (worker["pid"], worker["version"], worker["state"]) == (process.pid, VERSION, "running")
    assert (trials(worker)["used"], trials(worker)["concurrency"], trials(worker)["read"]) == (1, 3, True)
    assert worker["memory_bytes"] > 20_000_000
    other = workers.start()
    await until(lambda: _count(seen, 2))
    other.send_signal(signal.SIGTERM)
    other.wait(timeout=10)
    await until(lambda: _count(seen, 1), within_s=2)
    process.kill()
    await until(lambda: _count(seen, 0), within_s=17)


async def test_a_drained_worker_ends_what_it_runs_and_takes_nothing_more(
    workers: WorkerProcesses, fleet: Fleet, operator: httpx.AsyncClient, seen: Seen
) -> None:
    """Without a restart; resumed it takes jobs again, and both acts are noted."""
    workers.start(concurrency='{"trials": 2}')
    first, second = await hanging(fleet, workers.folder, 2)
    await until(lambda: begun(workers.folder) == 2)
    (worker,) = await until(seen)
    later = (await hanging(fleet, workers.folder, 1))[0]
    assert (await operator.post(f"/v1/workers/{worker['id']}/drain")).status_code == 202
    await until(lambda: _state(seen, "draining"))
    (workers.folder / "go").touch()
    await fleet.ended(first)
    await fleet.ended(second)
    await until(lambda: _state(seen, "drained"))
    assert (await fleet.job(later)).status.state is JobState.WAITING
    await operator.post(f"/v1/workers/{worker['id']}/resume")
    assert (await fleet.ended(later)).status.state is JobState.COMPLETED
    acts = [(entry["act"], entry["on"]) for entry in (await operator.get("/v1/audit")).json()["entries"]]
    assert acts == [("worker.resumed", worker["id"]), ("worker.drained", worker["id"])]


async def test_a_worker_is_resized_while_it_runs(
    workers: WorkerProcesses, fleet: Fleet, operator: httpx.AsyncClient, seen: Seen
) -> None:
    """More begin within two seconds of the wish; with fewer places what runs goes on, and no more than that begin."""
    workers.start(concurrency='{"trials": 1}')
    jobs = await hanging(fleet, workers.folder, 8)
    await until(lambda: begun(workers.folder) == 1)
    (worker,) = await until(seen)
    place = f"/v1/workers/{worker['id']}/concurrency"
    await operator.put(place, json={"queue": QUEUE, "concurrency": 3})
    await until(lambda: begun(workers.folder) == 3, within_s=2)
    await operator.put(place, json={"queue": QUEUE, "concurrency": 2})
    await until(lambda: _places(seen, 3, 2))
    await _cancelled_one_by_one(fleet, workers.folder, most=2)
    await operator.put(place, json={"queue": QUEUE, "concurrency": 20})
    (workers.folder / "go").touch()
    for job_id in jobs:
        assert (await fleet.ended(job_id)).status.state.final
    assert (await operator.put(place, json={"queue": "cats", "concurrency": 1})).json()["code"] == "queue_not_found"
    assert (await operator.post("/v1/workers/nobody/drain")).json()["code"] == "worker_not_found"


async def _cancelled_one_by_one(fleet: Fleet, folder: Path, *, most: int) -> None:
    for _ in range(2):
        before = begun(folder)
        active = [one for one in ran(folder) if (await fleet.job(one)).status.state is JobState.ACTIVE]
        await fleet.engine.request_cancel(active[0])
        await fleet.ended(active[0])
        left = len(active) - 1
        await until(lambda: begun(folder) == before + max(0, most - left), within_s=5)  # noqa: B023 - awaited here


async def _count(seen: Seen, count: int) -> bool:
    return len(await seen()) == count


async def _state(seen: Seen, state: str) -> bool:
    return [worker["state"] for worker in await seen()] == [state]


async def _places(seen: Seen, used: int, concurrency: int) -> bool:
    return [(trials(one)["used"], trials(one)["concurrency"]) for one in await seen()] == [(used, concurrency)]
