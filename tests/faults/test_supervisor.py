"""Several worker processes under one supervisor: killed, stopped, misconfigured, as real processes on a real Valkey."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from corral.stack import free_port
from schemas.job_status import JobState
from tests.support.child_process_ids import alive, descendants
from tests.support.faulty_worker import DIE, HANG
from tests.support.fleet import Fleet, Trial
from tests.support.until import passed, until
from tests.support.worker_process import WorkerProcesses

pytestmark = pytest.mark.timeout(120)


def lines(workers: WorkerProcesses, event: str) -> list[dict[str, Any]]:
    """Give the log lines of an event, in order."""
    found = (json.loads(line) for line in workers.log.read_text().splitlines() if line.startswith("{"))
    return [line for line in found if line["event"] == event]


async def started(workers: WorkerProcesses, **settings: object) -> subprocess.Popen[bytes]:
    """Start a supervisor with two processes and wait until both take jobs."""
    process = workers.start("tests.support.faulty_worker", worker_processes=2, **settings)
    await until(lambda: workers.said("worker.started") == 2, within_s=20)
    return process


def begun(folder: Path) -> list[str]:
    """Name the runs that have begun."""
    return [path.name for path in folder.glob("go.trials_*")]


async def test_a_process_that_dies_is_started_anew(workers: WorkerProcesses, fleet: Fleet) -> None:
    """Soon; its neighbour goes on, and each death is one line with what follows from it."""
    await started(workers)
    victim, neighbour = (line["pid"] for line in lines(workers, "process.started"))
    os.kill(victim, signal.SIGKILL)
    await until(lambda: workers.said("worker.started") == 3)
    assert alive(neighbour)
    (death,) = lines(workers, "process.died")
    assert (death["pid"], death["code"], death["restart_s"]) == (victim, -signal.SIGKILL, 0.5)
    assert (await fleet.ended(await fleet.add(HANG, Trial(text=str(_touched(workers)))))).status.attempts == 1


async def test_one_that_dies_again_and_again_is_started_ever_later(workers: WorkerProcesses, fleet: Fleet) -> None:
    """Each wait is twice the last one, so that a broken process does not burn a core."""
    await started(workers, lock_s=1)
    for count in (1, 2, 3):
        pid = [line["pid"] for line in lines(workers, "process.started") if line["process"] == 1][-1]
        os.kill(pid, signal.SIGKILL)
        await until(lambda: len(lines(workers, "process.died")) == count, within_s=20)  # noqa: B023 - awaited here
        await until(lambda: len(lines(workers, "process.started")) == 2 + count, within_s=20)  # noqa: B023
    assert [line["restart_s"] for line in lines(workers, "process.died")] == [0.5, 1, 2]
    assert [line["restarts"] for line in lines(workers, "process.started")][2:] == [1, 2, 3]
    assert fleet is not None


async def test_one_that_has_worked_for_a_while_is_started_anew_at_once(workers: WorkerProcesses) -> None:
    """After ten seconds it did not die of its start, so what it has waited before is forgotten."""
    await started(workers)
    for count, lives_s in enumerate((0.0, 0.0, 10.5), start=1):
        await passed(lives_s)
        os.kill([line["pid"] for line in lines(workers, "process.started") if line["process"] == 1][-1], signal.SIGKILL)
        await until(lambda: len(lines(workers, "process.started")) == 2 + count, within_s=20)  # noqa: B023 - awaited here
    assert [line["restart_s"] for line in lines(workers, "process.died")] == [0.5, 1, 0.5]


async def test_a_job_that_kills_its_workers_is_given_up_under_a_supervisor(
    workers: WorkerProcesses, fleet: Fleet
) -> None:
    """The fleet outlives it without anybody's help."""
    process = await started(workers, lock_s=1)
    job = await fleet.ended(await fleet.add(DIE, Trial()), within_s=60)
    assert job.status.error is not None
    assert job.status.error.code == "job_stalled"
    assert process.poll() is None


async def test_sigterm_lets_every_process_end_its_jobs(workers: WorkerProcesses, fleet: Fleet) -> None:
    """All hear it, all finish, none is started anew, and the code is 0."""
    process = await started(workers, concurrency='{"trials": 1}')
    jobs = [await fleet.add(HANG, Trial(text=str(workers.folder / "go"))) for _ in range(2)]
    await until(lambda: len(begun(workers.folder)) == 2)
    process.send_signal(signal.SIGTERM)
    await until(lambda: workers.said("worker.stopping") == 2)
    (workers.folder / "go").touch()
    assert process.wait(timeout=10) == 0
    assert [(await fleet.job(job_id)).status.state for job_id in jobs] == [JobState.COMPLETED] * 2
    assert [line["code"] for line in lines(workers, "process.ended")] == [0, 0]
    assert workers.said("process.died") == 0


async def test_a_second_sigterm_is_immediate_for_all(workers: WorkerProcesses, fleet: Fleet) -> None:
    """What runs is handed back at once, wherever it runs."""
    process = await started(workers, concurrency='{"trials": 1}', lock_s=60)
    jobs = [await fleet.add(HANG, Trial(text=str(workers.folder / "go"))) for _ in range(2)]
    await until(lambda: len(begun(workers.folder)) == 2)
    process.send_signal(signal.SIGINT)
    await until(lambda: workers.said("worker.stopping") == 2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=3) == 0
    workers.start(lock_s=60)
    (workers.folder / "go").touch()
    for job_id in jobs:
        assert (await fleet.ended(job_id)).status.state is JobState.COMPLETED
        assert "stc" not in await fleet.raw(job_id)


async def test_a_killed_supervisor_takes_its_processes_along(workers: WorkerProcesses) -> None:
    """However it ends, nothing is left behind that nobody looks after."""
    process = await started(workers)
    family = descendants(process.pid)
    assert len(family) >= 2
    process.kill()
    process.wait()
    await until(lambda: not any(map(alive, family)), within_s=5)


def test_a_misconfigured_fleet_says_so_once_and_ends_with_2(workers: WorkerProcesses) -> None:
    """The first process proves the settings: no loop of restarts, no line per process."""
    process = workers.start(worker_processes=4, callback_secret="whsec_c2hvcnQ=")
    assert process.wait(timeout=30) == 2
    assert workers.log.read_text().count("corral: ") == 1
    assert workers.said("process.started") == 1


async def test_one_address_answers_for_all_processes(workers: WorkerProcesses, fleet: Fleet) -> None:
    """Alive, ready, and every process's counters with its number; a death is counted, and mended."""
    port = free_port()
    await started(workers, worker_metrics_port=port)
    await fleet.ended(await fleet.add(HANG, Trial(text=str(_touched(workers)))))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:

        async def ready() -> bool:
            return (await http.get("/readyz")).is_success

        await until(ready)
        assert (await http.get("/livez")).json() == {"status": "ok"}
        text = (await http.get("/metrics")).text
        ended = [line for line in text.splitlines() if line.startswith("corral_attempts_total{") and 'hang"' in line]
        assert {line.partition('process="')[2][0] for line in ended} == {"0", "1"}
        assert sum(float(line.split()[-1]) for line in ended) == 1
        os.kill(lines(workers, "process.started")[0]["pid"], signal.SIGKILL)
        await until(lambda: workers.said("process.died") == 1)
        assert (await http.get("/readyz")).status_code == 503
        assert (await http.get("/livez")).is_success
        await until(ready)
        assert 'corral_worker_restarts_total{process="0"} 1' in (await http.get("/metrics")).text


def _touched(workers: WorkerProcesses) -> Path:
    go = workers.folder / "go"
    go.touch()
    return go
