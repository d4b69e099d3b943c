"""Workers die at each step of a job and of its callback: it is delivered all the same, under one id."""

import os
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from corral.receiver import Received, receiving
from schemas.job_status import JobState
from tests.support.callback import END, WAYS, Way, add, enter_hanging, wanting
from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.faulty_worker import DIE, HANG
from tests.support.fleet import Fleet, Trial
from tests.support.http_receiver import Answer
from tests.support.http_receiver import receiving as answering
from tests.support.until import until
from tests.support.worker_process import WorkerProcesses

pytestmark = pytest.mark.timeout(120)


def killed(when: str) -> pytest.MarkDecorator:
    """Make the row of a kill."""
    return pytest.mark.guarantee("death", f"worker killed {when}", "delivered, same id")


@pytest.fixture
async def proxy(workers: WorkerProcesses) -> AsyncIterator[FaultProxy]:
    """What stands between the workers and their Valkey, where they are told to go by it."""
    async with fault_proxy(Path(unquote(urlsplit(workers.url).path))) as between:
        yield between


def begun(folder: Path) -> list[str]:
    """Name the runs that have begun."""
    return [path.name for path in folder.glob("go.trials_*")]


def kill(worker: subprocess.Popen[bytes]) -> None:
    """End a worker as a crash does."""
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()


# --- Each step of a job's life, where its worker dies or its connection is cut.


@dataclass(frozen=True)
class Scene:
    """One job, one worker behind a proxy."""

    workers: WorkerProcesses
    fleet: Fleet
    proxy: FaultProxy
    job_id: str
    callback_id: str

    async def ended(self) -> bool:
        """Tell whether the job's end is in the server."""
        found = await self.fleet.engine.read(self.job_id)
        return found is not None and found.status.state is JobState.COMPLETED


async def as_it_is_adopted(scene: Scene) -> None:
    """The word of it never arrives."""
    scene.proxy.to_server.swallows = b"corralCallback"
    await until(lambda: _counts(scene.fleet, "trials", "active"))


async def as_it_was_adopted(scene: Scene) -> None:
    """The word of it has arrived, and its answer has not."""
    scene.proxy.to_client.swallows = scene.callback_id.encode()
    await until(lambda: _counts(scene.fleet, "callbacks", "waiting-children"))


async def as_it_runs(scene: Scene) -> None:
    """In the middle of the work."""
    await until(lambda: begun(scene.workers.folder))


async def as_it_has_run(scene: Scene) -> None:
    """The work is done, and the word of its end never arrives."""
    await as_it_runs(scene)
    scene.proxy.to_server.swallows = END
    (scene.workers.folder / "go").touch()
    await until(lambda: scene.workers.said("attempt.ended"))
    assert not await scene.ended()


async def as_it_has_ended(scene: Scene) -> None:
    """The end is in the server, and nobody hears of it."""
    await as_it_runs(scene)
    # The server learns the script with the first end of all.
    (scene.workers.folder / "soon").touch()
    await scene.fleet.ended(await scene.fleet.add(HANG, Trial(text=str(scene.workers.folder / "soon"))))
    scene.proxy.to_client.stall()
    (scene.workers.folder / "go").touch()
    await until(scene.ended)


async def _counts(fleet: Fleet, queue: str, state: str) -> int:
    return (await fleet.engine.counts(queue))[state]


@pytest.mark.parametrize(
    ("way", "step"),
    [
        pytest.param("plain", as_it_is_adopted, marks=killed("before a plain job has its callback")),
        pytest.param("plain", as_it_was_adopted, marks=killed("as a plain job has just got its callback")),
        *(pytest.param(way, as_it_runs, marks=killed("while the job runs")) for way in WAYS),
        *(
            pytest.param(way, as_it_has_run, marks=killed("after the work, before its end is committed"))
            for way in WAYS
        ),
        *(pytest.param(way, as_it_has_ended, marks=killed("after its end is committed")) for way in WAYS),
    ],
)
async def test_a_worker_is_killed(
    workers: WorkerProcesses, fleet: Fleet, proxy: FaultProxy, way: Way, step: Callable[[Scene], Awaitable[None]]
) -> None:
    """At each step of its job; the next worker has it told, with its result."""
    direct = workers.url
    with receiving(workers.secret) as receiver:
        job_id, callback = await enter_hanging(fleet, way, receiver.url, workers.folder)
        workers.url = f"redis://127.0.0.1:{proxy.port}/0"
        first = workers.start()
        await step(Scene(workers, fleet, proxy, job_id, callback))
        assert receiver.received == []
        kill(first)
        workers.url = direct
        workers.start()
        (workers.folder / "go").touch()
        await until(lambda: receiver.received, within_s=30)
        assert (await fleet.ended(callback)).status.state is JobState.COMPLETED
    assert {one.webhook_id for one in receiver.received} == {callback}
    assert [one.event["type"] for one in receiver.received] == ["job.completed"]
    assert receiver.received[0].event["data"]["result"]["text"] == "done"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.guarantee("death", "worker killed between POST and answer", "delivered twice, same id")
async def test_a_worker_is_killed_after_it_has_posted(workers: WorkerProcesses, fleet: Fleet, way: Way) -> None:
    """The receiver has it, and nobody knows: it is sent again, and the id says that it is the same."""
    (workers.folder / "go").touch()
    async with answering() as receiver:
        receiver.answers = [Answer(hangs=True)]
        _, callback = await enter_hanging(fleet, way, receiver.url, workers.folder)
        first = workers.start()
        await until(lambda: receiver.requests, within_s=20)
        kill(first)
        workers.start()
        await fleet.ended(callback, within_s=30)
        assert [request.headers["webhook-id"] for request in receiver.requests] == [callback, callback]
        assert receiver.requests[0].body == receiver.requests[1].body


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.guarantee("death", "worker killed between answer and acknowledgement", "delivered twice, same id")
async def test_a_worker_is_killed_before_it_has_acknowledged(
    workers: WorkerProcesses, fleet: Fleet, proxy: FaultProxy, way: Way
) -> None:
    """The receiver has answered; the word of it has not reached the server."""
    direct = workers.url
    (workers.folder / "go").touch()

    def lose_the_acknowledgement(_: Received) -> None:
        proxy.to_server.swallows = END

    with receiving(workers.secret, tell=lose_the_acknowledgement) as receiver:
        _, callback = await enter_hanging(fleet, way, receiver.url, workers.folder)
        workers.url = f"redis://127.0.0.1:{proxy.port}/0"
        first = workers.start()
        await until(lambda: workers.said("attempt.ended") == 2, within_s=20)
        assert not (await fleet.job(callback)).status.state.final
        kill(first)
        workers.url = direct
        workers.start()
        await fleet.ended(callback, within_s=30)
    assert [one.webhook_id for one in receiver.received] == [callback, callback]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.guarantee("end", "its workers die under it until it is given up", "delivered, `job_stalled`")
async def test_a_job_that_kills_its_workers(workers: WorkerProcesses, fleet: Fleet, way: Way) -> None:
    """Nobody ends it but the engine, and the next worker that takes it."""
    with receiving(workers.secret) as receiver:
        if way == "api":
            await add(fleet, receiver.url, kind=DIE)
        else:
            await fleet.add_raw(wanting(receiver.url), name="die")
        for _ in range(HANG.crashes):  # the queue's budget is its most patient kind's
            assert workers.start().wait(timeout=30) == -signal.SIGKILL
        workers.start()
        await until(lambda: receiver.received, within_s=20)
    assert [one.event["data"]["error"]["code"] for one in receiver.received] == ["job_stalled"]
