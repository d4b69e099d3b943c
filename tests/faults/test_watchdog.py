"""Reads that do not return: a server that is gone, one that stands still, one that answers all but the read."""

import json
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from corral.stack import free_port
from corral.valkey import embedded_valkey
from producers.engine.jobs import Engine
from schemas.job_status import JobState
from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.faulty_worker import HANG
from tests.support.fleet import QUEUE, Fleet, Trial
from tests.support.until import passed, until
from tests.support.valkey_owner import Owner, owner
from tests.support.worker_process import WorkerProcesses, worker_processes

pytestmark = pytest.mark.timeout(150)

MODULE = "tests.support.faulty_worker"
OUTAGE_S = 30
PASSED_OVER = "takes no job, though some are ready and there is room"
PICKED_UP_S = 2


@asynccontextmanager
async def fleet_on(url: str) -> AsyncIterator[Fleet]:
    """Jobs on the server at ``url``."""
    async with Redis.from_url(url, decode_responses=True) as redis:
        yield Fleet(redis, Engine(redis, prefix="bull", keep_finished_s=3600))


def lines(workers: WorkerProcesses, *events: str) -> list[dict[str, Any]]:
    """Give the log lines of these events, in order."""
    found = (json.loads(line) for line in workers.log.read_text().splitlines() if line.startswith("{"))
    return [line for line in found if line["event"] in events]


@pytest.mark.parametrize("stands_still", [False, True], ids=["killed", "stopped"])
async def test_after_an_outage_an_idle_worker_takes_a_job_at_once(tmp_path: Path, *, stands_still: bool) -> None:
    """Within 2 s of the server's return after 30 s; the outage and its end are one line each."""
    (tmp_path / "go").touch()
    with worker_processes("", tmp_path) as workers, ExitStack() as servers:
        valkey = servers.enter_context(owner(tmp_path / "data"))
        workers.url, port = valkey.url, free_port()
        worker = workers.start(worker_metrics_port=port)
        await until(lambda: workers.said("worker.started") == 1)
        async with fleet_on(valkey.url) as fleet:
            await fleet.ended(await fleet.add(HANG, Trial(text=str(tmp_path / "go"))))
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
            assert (await http.get("/readyz")).is_success
            os.kill(valkey.pid, signal.SIGSTOP if stands_still else signal.SIGKILL)
            await passed(OUTAGE_S)
            # To be started anew is no cure for a server that is gone.
            assert (await http.get("/livez")).is_success
            reasons = (await http.get("/readyz")).json()["reasons"]
            assert "the queue's server does not answer, or does not write" in reasons
            _back(valkey, servers, tmp_path, stands_still=stands_still)
            async with fleet_on(workers.url) as fleet:
                returned = time.monotonic()
                job_id = await fleet.add(HANG, Trial(text=str(tmp_path / "go")))
                await fleet.ended(job_id)
                picked_up_s = time.monotonic() - returned
                await until(lambda: len(lines(workers, "engine.recovered")) == 1)
                assert picked_up_s < PICKED_UP_S
                assert [line["event"] for line in lines(workers, "engine.lost", "engine.recovered")] == [
                    "engine.lost",
                    "engine.recovered",
                ]
                assert lines(workers, "engine.troubled") == []
                await until(lambda: _is(http, "/readyz"))
        print(f"picked up {picked_up_s:.2f} s after the outage")  # noqa: T201 - a figure to read with -s
        assert worker.poll() is None


def _back(valkey: Owner, servers: ExitStack, folder: Path, *, stands_still: bool) -> None:
    if stands_still:
        os.kill(valkey.pid, signal.SIGCONT)
        return
    valkey.end(signal.SIGTERM)
    servers.enter_context(owner(folder / "data"))


async def _is(http: httpx.AsyncClient, path: str) -> bool:
    return (await http.get(path)).is_success


async def test_a_read_that_never_returns_is_begun_anew(tmp_path: Path) -> None:
    """Over a new connection, after three times its limit, though the server answers everything else."""
    async with _worker_behind_a_proxy(tmp_path) as (workers, proxy, fleet):
        proxy.to_server.swallows = b"BZPOPMIN"
        await until(lambda: workers.said("queue.silent") >= 1, within_s=30)
        proxy.to_server.swallows = b""
        (tmp_path / "go").touch()
        job_id = await fleet.add(HANG, Trial(text=str(tmp_path / "go")))
        assert (await fleet.ended(job_id)).status.state is JobState.COMPLETED
        assert workers.started[0].poll() is None
        assert workers.said("engine.lost") == 0


async def test_a_queue_that_cannot_be_read_ends_the_process(tmp_path: Path) -> None:
    """When a new connection was no cure: with 1, so that it is started anew; until then /livez says why."""
    port = free_port()
    async with _worker_behind_a_proxy(tmp_path, worker_metrics_port=port) as (workers, proxy, _):
        proxy.to_server.swallows = b"BZPOPMIN"
        await until(lambda: workers.said("queue.silent") >= 1, within_s=30)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
            assert (await http.get("/livez")).status_code == 503
        await until(lambda: workers.started[0].poll() is not None, within_s=30)
        assert workers.started[0].returncode == 1
        assert "cannot be read, though the server answers" in workers.log.read_text()


# What the script that takes a job is told first: it has eleven keys, and this is the list of those that wait.
LOOKS_AT = b"\r\n$2\r\n11\r\n$16\r\nbull:trials:wait"
LOOKS_ASIDE = LOOKS_AT.replace(b"wait", b"wade")


async def test_a_queue_whose_jobs_are_passed_over_is_read_anew(tmp_path: Path) -> None:
    """Its reads come back all the time, and bring no job though one waits: over a new connection they do."""
    async with _worker_behind_a_proxy(tmp_path) as (workers, proxy, fleet):
        await fleet.ended(await fleet.add(HANG, Trial(text=str(touched(tmp_path)))))
        proxy.to_server.swaps = LOOKS_AT, LOOKS_ASIDE
        job_id = await fleet.add(HANG, Trial(text=str(tmp_path / "go")))
        await until(lambda: workers.said("queue.silent") == 1, within_s=30)
        proxy.to_server.swaps = b"", b""
        assert (await fleet.ended(job_id)).status.state is JobState.COMPLETED
        (silent,) = lines(workers, "queue.silent")
        assert (silent["queue"], silent["reason"]) == (QUEUE, PASSED_OVER)
        assert workers.started[0].poll() is None
        assert workers.said("engine.lost") == 0


async def test_a_queue_whose_jobs_are_passed_over_for_good_ends_the_process(tmp_path: Path) -> None:
    """With 1; until then health and metrics name the queue, and no other one."""
    port = free_port()
    async with _worker_behind_a_proxy(tmp_path, worker_metrics_port=port) as (workers, proxy, fleet):
        proxy.to_server.swaps = LOOKS_AT, LOOKS_ASIDE
        await fleet.add(HANG, Trial(text=str(touched(tmp_path))))
        await until(lambda: workers.said("queue.silent") == 1, within_s=30)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
            for path in ("/livez", "/readyz"):
                assert (await http.get(path)).json()["reasons"] == [f"the queue {QUEUE} {PASSED_OVER}"]
            page = (await http.get("/metrics")).text
        assert f'corral_queue_read{{queue="{QUEUE}"}} 0.0' in page
        assert 'corral_queue_read{queue="callbacks"} 1.0' in page
        await until(lambda: workers.started[0].poll() is not None, within_s=30)
        assert workers.started[0].returncode == 1
        assert f"corral: the queue {QUEUE} {PASSED_OVER}" in workers.log.read_text()


def touched(folder: Path) -> Path:
    """Give the word that jobs wait for."""
    (folder / "go").touch()
    return folder / "go"


@asynccontextmanager
async def _worker_behind_a_proxy(
    folder: Path, **settings: object
) -> AsyncIterator[tuple[WorkerProcesses, FaultProxy, Fleet]]:
    with embedded_valkey(folder / "data") as server:
        async with fault_proxy(server.socket) as proxy, fleet_on(server.url) as fleet:
            with worker_processes(f"redis://127.0.0.1:{proxy.port}", folder) as workers:
                workers.start(MODULE, **settings)
                await until(lambda: workers.said("worker.started") == 1)
                yield workers, proxy, fleet
