"""Workers that are killed, stopped or cut off, as real processes on a real Valkey."""

import asyncio
import os
import signal
import subprocess
from pathlib import Path

import pytest
from redis.asyncio import Redis

from corral.receiver import receiving
from producers.engine.jobs import Engine, NewJob
from schemas import job_id as ids
from schemas.envelope import Callback, Envelope
from schemas.job_status import JobState
from schemas.jobs.callbacks import DELIVER, DeliverCallback
from tests.support.faulty_worker import CLING, DIE, HANG
from tests.support.fleet import Fleet, Trial
from tests.support.until import until
from tests.support.valkey_owner import owner
from tests.support.worker_process import WorkerProcesses, worker_processes

pytestmark = pytest.mark.timeout(120)


def begun(folder: Path) -> list[str]:
    """Name the runs that have begun."""
    return [path.name for path in folder.glob("go.trials_*")]


def flow_of(job_id: str, kind: str, url: str) -> NewJob:
    """The callback of a job, as the API adds it."""
    notice = DeliverCallback(job_id=job_id, kind=kind, callback=Callback.model_validate({"url": url}))
    return NewJob(f"callbacks_{job_id.partition('_')[2]}", DELIVER, Envelope().wrap(notice))


async def test_a_job_whose_worker_is_killed_is_done_by_the_next(workers: WorkerProcesses, fleet: Fleet) -> None:
    """Once, by the next one, and its receiver sees one webhook-id."""
    with receiving(workers.secret) as receiver:
        job_id = ids.new("trials")
        payload = Envelope().wrap(Trial(text=str(workers.folder / "go")))
        await fleet.engine.add(NewJob(job_id, HANG, payload, flow_of(job_id, HANG.kind, receiver.url)))
        first = workers.start()
        await until(lambda: len(begun(workers.folder)) == 1)
        first.send_signal(signal.SIGKILL)
        first.wait()
        workers.start()
        await until(lambda: len(begun(workers.folder)) == 2)
        (workers.folder / "go").touch()
        job = await fleet.ended(job_id)
        await until(lambda: bool(receiver.received))
    assert job.status.state is JobState.COMPLETED
    assert {callback.webhook_id for callback in receiver.received} == {f"callbacks_{job_id.partition('_')[2]}"}
    assert receiver.received[0].verified
    assert receiver.received[0].event["type"] == "job.completed"


async def test_a_job_of_a_killed_worker_runs_again_within_15_s(workers: WorkerProcesses, fleet: Fleet) -> None:
    """With the settings as they ship, while another worker is there."""
    first = workers.start(lock_s=10)
    await until(lambda: workers.said("worker.started") == 1)
    await fleet.add(HANG, Trial(text=str(workers.folder / "go")))
    await until(lambda: len(begun(workers.folder)) == 1)
    workers.start(lock_s=10)
    await until(lambda: workers.said("worker.started") == 2)
    first.send_signal(signal.SIGKILL)
    await until(lambda: len(begun(workers.folder)) == 2, within_s=15)


async def test_a_job_that_kills_its_workers_is_given_up(workers: WorkerProcesses, fleet: Fleet) -> None:
    """After as many runs as its kind allows, with a code of its own; and its receiver hears of it."""
    with receiving(workers.secret) as receiver:
        job_id = ids.new("trials")
        payload = Envelope().wrap(Trial())
        await fleet.engine.add(NewJob(job_id, DIE, payload, flow_of(job_id, DIE.kind, receiver.url)))
        for _ in range(HANG.crashes):  # the queue's budget is its most patient kind's
            assert workers.start().wait(timeout=30) == -signal.SIGKILL
        workers.start()
        job = await fleet.ended(job_id, within_s=20)
        await until(lambda: bool(receiver.received))
    assert job.status.error is not None
    assert job.status.error.code == "job_stalled"
    assert receiver.received[0].event["type"] == "job.failed"
    assert receiver.received[0].event["data"]["error"]["code"] == "job_stalled"


async def test_sigterm_lets_the_job_under_way_end(workers: WorkerProcesses, fleet: Fleet) -> None:
    """The worker takes no more, finishes, and exits with 0."""
    process = workers.start()
    job_id = await fleet.add(HANG, Trial(text=str(workers.folder / "go")))
    await until(lambda: len(begun(workers.folder)) == 1)
    process.send_signal(signal.SIGTERM)
    await until(lambda: workers.said("worker.stopping") == 1)
    later = await fleet.add(HANG, Trial(text=str(workers.folder / "go")))
    (workers.folder / "go").touch()
    assert process.wait(timeout=10) == 0
    assert (await fleet.job(job_id)).status.state is JobState.COMPLETED
    assert (await fleet.job(later)).status.state is JobState.WAITING


async def test_a_second_sigterm_is_immediate(workers: WorkerProcesses, fleet: Fleet) -> None:
    """What still runs is handed back, without an attempt or a crash to its name."""
    process = workers.start(lock_s=60)
    job_id = await fleet.add(HANG, Trial(text=str(workers.folder / "go")))
    await until(lambda: len(begun(workers.folder)) == 1)
    process.send_signal(signal.SIGTERM)
    await until(lambda: workers.said("worker.stopping") == 1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=2) == 0
    (workers.folder / "go").touch()
    workers.start(lock_s=60)
    assert (await fleet.ended(job_id)).status.state is JobState.COMPLETED
    assert "stc" not in await fleet.raw(job_id)


async def test_what_has_not_ended_within_the_grace_is_handed_back(workers: WorkerProcesses, fleet: Fleet) -> None:
    """The worker ends by its deadline; the next one runs the job, and neither an attempt nor a crash is counted."""
    process = workers.start(lock_s=60, stop_grace_s=1)
    job_id = await fleet.add(HANG, Trial(text=str(workers.folder / "go")))
    await until(lambda: len(begun(workers.folder)) == 1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=3) == 0
    (workers.folder / "go").touch()
    workers.start(lock_s=60)
    assert (await fleet.ended(job_id)).status.state is JobState.COMPLETED
    raw = await fleet.raw(job_id)
    assert "stc" not in raw
    assert raw["atm"] == "1"


@pytest.mark.parametrize("signals", [1, 2])
async def test_a_handler_that_does_not_end_keeps_no_worker(
    workers: WorkerProcesses, fleet: Fleet, signals: int
) -> None:
    """It swallows its cancelling. The kernel ends the process 5 s after the grace, or after the second signal."""
    process = workers.start(stop_grace_s=1 if signals == 1 else 60)
    job_id = await fleet.add(CLING, Trial(text=str(workers.folder / "go")))
    await until(lambda: len(begun(workers.folder)) == 1)
    process.send_signal(signal.SIGTERM)
    if signals == 2:
        await until(lambda: workers.said("worker.stopping") == 1)
        process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.wait, 12) == -signal.SIGALRM
    (workers.folder / "go").touch()
    workers.start()
    assert (await fleet.ended(job_id)).status.state is JobState.COMPLETED


@pytest.mark.parametrize("busy", [False, True])
async def test_sigterm_is_obeyed_though_the_server_is_gone(tmp_path: Path, busy: bool) -> None:  # noqa: FBT001 - a case
    """Within the grace and 2 s, whether a job is under way or not."""
    with owner(tmp_path / "data") as valkey, worker_processes(valkey.url, tmp_path) as workers:
        process = workers.start(stop_grace_s=1)
        await until(lambda: workers.said("worker.started") == 1)
        if busy:
            async with Redis.from_url(valkey.url, decode_responses=True) as redis:
                fleet = Fleet(redis, Engine(redis, prefix="bull", keep_finished_s=3600))
                await fleet.add(HANG, Trial(text=str(tmp_path / "go")))
                await until(lambda: len(begun(tmp_path)) == 1)
        os.kill(valkey.pid, signal.SIGKILL)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=3) == 0


async def test_a_server_that_is_not_there_ends_the_process(tmp_path: Path) -> None:
    """With 1, so that its supervisor starts it anew; its last line says why."""
    with worker_processes("redis://127.0.0.1:1", tmp_path) as workers:
        process = workers.start()
        assert process.wait(timeout=60) == 1
        assert "the queue's server does not answer" in workers.log.read_text()


async def test_a_server_that_is_killed_and_started_again_loses_nothing(tmp_path: Path) -> None:
    """Valkey dies under waiting, running and delayed jobs; on the same data each ends once."""
    with worker_processes("", tmp_path) as workers:
        with owner(tmp_path / "data") as valkey:
            workers.url = valkey.url
            workers.start()
            await until(lambda: workers.said("worker.started") == 1)
            async with Redis.from_url(valkey.url, decode_responses=True) as redis:
                fleet = Fleet(redis, Engine(redis, prefix="bull", keep_finished_s=3600))
                jobs = [await fleet.add(HANG, Trial(text=str(tmp_path / "go"))) for _ in range(30)]
                jobs += [await fleet.add_raw({"text": str(tmp_path / "go")}, name="hang", delay=3_000)]
                await until(lambda: len(begun(tmp_path)) == 20)
                # The append-only file is written every second.
                await until(lambda: _written(redis))
            os.kill(valkey.pid, signal.SIGKILL)
        (tmp_path / "go").touch()
        with owner(tmp_path / "data") as valkey:
            assert valkey.url == workers.url
            async with Redis.from_url(valkey.url, decode_responses=True) as redis:
                fleet = Fleet(redis, Engine(redis, prefix="bull", keep_finished_s=3600))
                for job_id in jobs:
                    assert (await fleet.ended(job_id, within_s=40)).status.state is JobState.COMPLETED
                counts = await fleet.engine.counts("trials")
                assert {state: count for state, count in counts.items() if count} == {"completed": 31}


async def _written(redis: Redis) -> bool:
    persistence = await redis.info("persistence")
    return persistence["aof_last_write_status"] == "ok" and int(persistence["aof_pending_bio_fsync"]) == 0


@pytest.mark.parametrize(
    ("arguments", "settings", "said"),
    [
        (["callbacks"], {"callback_secret": "whsec_c2hvcnQ="}, "CORRAL_CALLBACK_SECRET is not whsec_"),
        (["cats"], {}, "no kind of job has the queue cats"),
        (["callbacks"], {"lock_s": "long"}, "CORRAL_LOCK_S"),
    ],
)
async def test_a_worker_that_is_set_up_wrongly_exits_with_2(
    workers: WorkerProcesses, arguments: list[str], settings: dict[str, str], said: str
) -> None:
    """Starting it anew is no cure; its one line names the setting and never its value."""
    assert workers.start("worker", *arguments, **settings).wait(timeout=30) == 2
    (line,) = [line for line in workers.log.read_text().splitlines() if line.startswith("corral: ")]
    assert said in line
    assert "Traceback" not in workers.log.read_text()


async def test_an_idle_worker_without_document_libraries_is_small(workers: WorkerProcesses) -> None:
    """A process for callbacks keeps below 100 MB."""
    process = workers.start("worker", "callbacks")
    await until(lambda: workers.said("worker.started") == 1)
    assert resident_mb(process.pid) < 100


def resident_mb(pid: int) -> float:
    """Give what a process has in memory."""
    listed = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True)
    return int(listed.stdout) / 1024
