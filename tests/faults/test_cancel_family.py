"""A family of jobs is cancelled while its workers, or who cancels it, die between the steps: all of it ends, once."""

import os
import signal
import subprocess
from collections.abc import Awaitable, Callable

import pytest

from corral.receiver import receiving
from producers.engine.cancel import CANCEL_FIELD
from producers.engine.new_job import NewJob
from schemas import job_id as ids
from schemas.envelope import Callback, Envelope
from schemas.job_status import JobState
from schemas.jobs.callbacks import DELIVER, DeliverCallback
from tests.support.faulty_worker import FAN
from tests.support.fleet import QUEUE, Fleet, Trial
from tests.support.until import until
from tests.support.worker_process import WorkerProcesses

pytestmark = pytest.mark.timeout(120)
# A job with its child and two generations below: of each a job that waits for others, and one that runs.
GENERATIONS = 3

Step = Callable[[Fleet, str], Awaitable[object]]


async def ask(fleet: Fleet, job_id: str) -> None:
    """Cancel the job, as the API does."""
    assert await fleet.engine.request_cancel(job_id)


async def ask_and_die(fleet: Fleet, job_id: str) -> None:
    """Cancel it as an API does that is killed at the first step."""
    await fleet.redis.hset(f"bull:{QUEUE}:{job_id}", CANCEL_FIELD, "1")


@pytest.mark.parametrize("kill_first", [True, False], ids=["killed, then asked", "asked, then killed"])
@pytest.mark.parametrize("step", [ask, ask_and_die])
async def test_a_family_ends_whoever_is_killed(
    workers: WorkerProcesses, fleet: Fleet, step: Step, *, kill_first: bool
) -> None:
    """Each of it is cancelled, none completes, and its receiver hears so once."""
    with receiving(workers.secret) as receiver:
        root = ids.new(QUEUE)
        notice = DeliverCallback(job_id=root, kind=FAN.kind, callback=Callback.model_validate({"url": receiver.url}))
        callback = NewJob(f"callbacks_{root.partition('_')[2]}", DELIVER, Envelope().wrap(notice))
        payload = Trial(text=str(workers.folder / "go"), number=GENERATIONS - 1)
        await fleet.engine.add(NewJob(root, FAN, Envelope().wrap(payload), callback))
        first = workers.start()
        await until(lambda: len(list(workers.folder.glob("go.*"))) == GENERATIONS)
        await until(lambda: all_wait(fleet))
        if kill_first:
            kill(first)
            await step(fleet, root)
        else:
            await step(fleet, root)
            kill(first)
        workers.start()
        assert (await fleet.ended(root, within_s=30)).status.state is JobState.CANCELLED
        await until(lambda: bool(receiver.received))
    counts = await fleet.engine.counts(QUEUE)
    assert {state: count for state, count in counts.items() if count} == {"failed": 2 * GENERATIONS}
    assert [one.event["type"] for one in receiver.received] == ["job.cancelled"]


async def all_wait(fleet: Fleet) -> bool:
    """Tell whether all that have children wait for them."""
    return await fleet.redis.zcard(f"bull:{QUEUE}:waiting-children") == GENERATIONS


def kill(worker: subprocess.Popen[bytes]) -> None:
    """End a worker as a crash does."""
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()
