"""Work that was done is recorded as done, whatever happens to the word of it on its way to the server."""

from collections.abc import AsyncIterator, Callable
from hashlib import sha1

import pytest
from bullmq import Queue
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from corral.valkey import ValkeyServer
from schemas.errors import Permanent, Retryable
from schemas.job_spec import RetryPolicy
from schemas.job_status import JobState
from tests.support.fleet import QUEUE, Fleet, Seen, Trial, Verdict, entry, raising, spec, succeed
from tests.support.lossy_proxy import LossyProxy, lossy_proxy
from tests.support.until import until
from worker.engine_worker import finish_script
from worker.ports import JobContext


@pytest.fixture
async def proxy(valkey: ValkeyServer) -> AsyncIterator[LossyProxy]:
    """What stands between the worker and the tests' Valkey."""
    async with lossy_proxy(valkey.socket) as running:
        yield running


def impatient(url: str) -> Callable[[], Redis]:
    """Make clients that never try again, so that each cut reaches the worker."""
    return lambda: Redis.from_url(url, decode_responses=True, socket_timeout=15, retry=Retry(NoBackoff(), 0))


def script(fleet: Fleet, name: str) -> bytes:
    """Give the name under which a script of the engine is called."""
    if name == "moveToFinished":
        return sha1(finish_script().encode()).hexdigest().encode()  # noqa: S324 - the server's name for a script
    commands = Queue(QUEUE, {"connection": fleet.redis}).backend.connection.commands
    return str(commands[name].sha).encode()


@pytest.mark.parametrize("answer", [False, True], ids=["before it arrives", "before it is answered"])
@pytest.mark.parametrize("times", [1, 3])
async def test_work_that_succeeded_is_never_recorded_as_failed(
    fleet: Fleet,
    proxy: LossyProxy,
    answer: bool,  # noqa: FBT001 - a case
    times: int,
) -> None:
    """The connection is cut at the very acknowledgement: the job is completed, after one run (fact 5)."""
    handle = Seen()
    proxy.lose(script(fleet, "moveToFinished"), answer=answer, times=times)
    job_id = await fleet.add(spec(), Trial(text="a"))
    async with fleet.worker(entry(handle), client=impatient(proxy.url), lock_s=10) as runner:
        job = await fleet.ended(job_id)
        await until(lambda: not runner._held)
    assert proxy.lost >= 1
    assert job.status.state is JobState.COMPLETED
    assert job.result["text"] == "A"
    assert len(handle.runs) == 1
    events = str(await fleet.redis.xrange(f"bull:{QUEUE}:events"))
    assert events.count("'event': 'completed'") == 1
    assert "'failed'" not in events


@pytest.mark.parametrize("answer", [False, True])
@pytest.mark.parametrize("error", [Permanent("it is broken"), Retryable("never")])
async def test_a_failure_is_recorded_once(
    fleet: Fleet,
    proxy: LossyProxy,
    answer: bool,  # noqa: FBT001 - a case
    error: Exception,
) -> None:
    """A word that is sent again neither adds an attempt nor changes the reason."""
    kind, handle = spec(retry=RetryPolicy(attempts=2, base_s=0.01)), Seen([raising(error)])
    proxy.lose(script(fleet, "moveToFinished"), answer=answer)
    job_id = await fleet.add(kind, Trial())
    async with fleet.worker(entry(handle, kind), client=impatient(proxy.url), lock_s=10):
        job = await fleet.ended(job_id)
    assert job.status.error is not None
    assert job.status.error.message == str(error)
    assert len(handle.runs) == (1 if isinstance(error, Permanent) else 2)


@pytest.mark.parametrize("answer", [False, True])
async def test_a_retry_is_planned_once(fleet: Fleet, proxy: LossyProxy, answer: bool) -> None:  # noqa: FBT001 - a case
    """The cut comes as the next attempt is written down; that one attempt follows."""
    handle = Seen([raising(Retryable("not now")), succeed])
    proxy.lose(script(fleet, "moveToDelayed"), answer=answer)
    job_id = await fleet.add(spec(), Trial())
    async with fleet.worker(entry(handle), client=impatient(proxy.url), lock_s=10):
        job = await fleet.ended(job_id)
    assert job.status.state is JobState.COMPLETED
    assert [run.attempt for run in handle.runs] == [1, 2]


async def test_a_lost_report_of_progress_harms_no_job(fleet: Fleet, proxy: LossyProxy) -> None:
    """How far a job is, or a line of its log, is never worth its failing."""

    async def handle(_payload: Trial, job: JobContext) -> Verdict:
        await job.log("a line")
        return Verdict()

    proxy.lose(b"RPUSH", answer=False)
    job_id = await fleet.add_raw({})
    async with fleet.worker(entry(handle), client=impatient(proxy.url), lock_s=10):
        job = await fleet.ended(job_id)
    assert proxy.lost == 1
    assert (job.status.state, job.status.attempts) == (JobState.COMPLETED, 1)


async def test_a_broken_connection_does_not_end_the_reading(fleet: Fleet, proxy: LossyProxy) -> None:
    """Every fetch is cut three times; then the next job is taken."""
    async with fleet.worker(entry(succeed), client=impatient(proxy.url), lock_s=10):
        await fleet.ended(await fleet.add_raw({}))
        proxy.lose(script(fleet, "moveToActive"), answer=False, times=3)
        assert (await fleet.ended(await fleet.add_raw({}))).status.state is JobState.COMPLETED
        assert proxy.lost == 3
