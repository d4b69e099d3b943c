"""The server dies, or the way to it, or who reconciles: each callback is delivered all the same, under one id."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from redis.asyncio import Redis

from corral.receiver import receiving
from corral.valkey import ValkeyServer
from producers import connection
from producers.engine.adoption import CALLBACK_FIELD
from producers.engine.jobs import Engine
from schemas.job_status import JobState
from tests.support.callback import CALLBACKS, END, WAYS, Way, enter, enter_hanging, sending, told
from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.fleet import Fleet, entry, succeed
from tests.support.http_receiver import receiving as answering
from tests.support.lossy_proxy import LossyProxy, lossy_proxy
from tests.support.until import until
from tests.support.valkey_owner import owner
from tests.support.worker_process import WorkerProcesses, worker_processes
from worker.consumer import BLOCK_S

pytestmark = pytest.mark.timeout(120)

WORKER = "tests.support.faulty_worker"
SAME = "delivered, same ids"
ADOPTION = CALLBACK_FIELD.encode()


def cut(when: str) -> pytest.MarkDecorator:
    """Make the row of a cut."""
    return pytest.mark.guarantee("death", f"connection cut {when}", "delivered, same id")


@pytest.fixture
async def lossy(valkey: ValkeyServer) -> AsyncIterator[LossyProxy]:
    """What cuts a connection at one command."""
    async with lossy_proxy(valkey.socket) as between:
        yield between


@pytest.fixture
def fleet_here(redis: Redis) -> Fleet:
    """Jobs on the tests' Valkey, done in this process."""
    return Fleet(redis, Engine(redis, prefix="bull", keep_finished_s=3600))


@pytest.fixture
async def proxy(workers: WorkerProcesses) -> AsyncIterator[FaultProxy]:
    """What stands between the workers and their Valkey, where they are told to go by it."""
    async with fault_proxy(Path(unquote(urlsplit(workers.url).path))) as between:
        yield between


def begun(folder: Path) -> list[str]:
    """Name the runs that have begun."""
    return [path.name for path in folder.glob("go.trials_*")]


@pytest.mark.parametrize(
    ("way", "needle", "answer"),
    [
        pytest.param("plain", ADOPTION, False, marks=cut("before a plain job's callback is committed")),
        pytest.param("plain", ADOPTION, True, marks=cut("after a plain job's callback is committed")),
        *(pytest.param(way, END, False, marks=cut("before the job's end is committed")) for way in WAYS),
        *(pytest.param(way, END, True, marks=cut("after the job's end is committed")) for way in WAYS),
    ],
)
async def test_a_connection_is_cut(
    fleet_here: Fleet,
    lossy: LossyProxy,
    way: Way,
    needle: bytes,
    answer: bool,  # noqa: FBT001 - a case
) -> None:
    """At the command, or before its answer; the worker goes on over a new connection."""
    lossy.lose(needle, answer=answer)
    async with answering() as receiver, sending(fleet_here) as ports:
        await enter(fleet_here, way, receiver.url)
        async with fleet_here.worker(
            entry(succeed), CALLBACKS, ports=ports, client=lambda: connection.patient(lossy.url, block_s=BLOCK_S)
        ):
            await until(lambda: receiver.requests, within_s=20)
            await until(lambda: _counts(fleet_here, "callbacks", "completed"))
    assert lossy.lost == 1
    assert told(receiver).type == "job.completed"


@pytest.mark.parametrize(
    "committed",
    [
        pytest.param(False, marks=pytest.mark.guarantee("death", "Valkey killed and restarted while jobs run", SAME)),
        pytest.param(True, marks=pytest.mark.guarantee("death", "Valkey killed and restarted after jobs ended", SAME)),
    ],
)
async def test_the_server_is_killed(tmp_path: Path, committed: bool) -> None:  # noqa: FBT001 - a case
    """Under ten jobs, on the same data: each has its callback, and nobody two different ones."""
    with worker_processes("", tmp_path) as workers, receiving(workers.secret) as receiver:
        with owner(tmp_path / "data") as valkey:
            workers.url = valkey.url
            workers.start(WORKER, "trials")
            async with connected(valkey.url) as fleet:
                added = [await enter_hanging(fleet, way, receiver.url, tmp_path) for way in WAYS * 5]
                callbacks = [callback for _, callback in added]
                await until(lambda: len(begun(tmp_path)) == len(callbacks), within_s=20)
                if committed:
                    (tmp_path / "go").touch()
                    await until(lambda: _all_due(fleet, len(callbacks)))
            os.kill(valkey.pid, signal.SIGKILL)
        (tmp_path / "go").touch()
        with owner(tmp_path / "data") as valkey:
            workers.start(WORKER, "callbacks")
            async with connected(valkey.url) as fleet:
                for callback in callbacks:
                    assert (await fleet.ended(callback, within_s=40)).status.state is JobState.COMPLETED
    assert {one.webhook_id for one in receiver.received} == set(callbacks)
    assert {one.event["type"] for one in receiver.received} == {"job.completed"}


async def _all_due(fleet: Fleet, count: int) -> bool:
    return await _counts(fleet, "callbacks", "waiting") == count


async def _counts(fleet: Fleet, queue: str, state: str) -> int:
    return (await fleet.engine.counts(queue))[state]


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Fleet]:
    """Jobs on a server that a test may kill."""
    async with Redis.from_url(url, decode_responses=True) as redis:
        yield Fleet(redis, Engine(redis, prefix="bull", keep_finished_s=3600))


# --- The reconciler, as a worker process runs it.


@pytest.mark.guarantee("death", "the worker that reconciles is killed in the middle", "delivered by the next turn")
async def test_a_reconciler_is_killed(workers: WorkerProcesses, fleet: Fleet, proxy: FaultProxy) -> None:
    """Its claim runs out, and another process has the turn."""
    direct = workers.url
    with receiving(workers.secret) as receiver:
        job_id, callback = await enter_hanging(fleet, "api", receiver.url, workers.folder)
        await fleet.redis.delete(f"bull:trials:{job_id}")
        await fleet.redis.lrem("bull:trials:wait", 1, job_id)
        workers.url = f"redis://127.0.0.1:{proxy.port}/0"
        proxy.to_server.swallows = b"'SMEMBERS'"
        first = workers.start(reconcile_s=1)
        await until(lambda: fleet.redis.exists("corral:reconciliation:bull:turn"), within_s=20)
        os.killpg(first.pid, signal.SIGKILL)
        workers.url = direct
        for _ in range(2):
            workers.start(reconcile_s=1)
        await until(lambda: receiver.received, within_s=20)
        await fleet.ended(callback)
    assert [one.event["data"]["error"]["code"] for one in receiver.received] == ["job_removed"]
    assert {one.webhook_id for one in receiver.received} == {callback}
