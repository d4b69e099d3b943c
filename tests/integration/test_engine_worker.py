"""Ending a job takes the next one in the same call, and keeps every promise of the engine's two calls."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from bullmq import Queue
from redis.asyncio import Redis

from corral.valkey import ValkeyServer
from schemas.errors import Misconfigured
from worker import engine_worker
from worker.engine_job import EngineJob
from worker.engine_worker import EngineWorker

Options = dict[str, Any]
_KEEP = {"age": 60}
_REASON = {"failedReason": "no", "stacktrace": "[]"}


@pytest.fixture
async def client(redis: Redis, valkey: ValkeyServer) -> AsyncIterator[Redis]:
    """A client of the tests' Valkey that the package may close."""
    await redis.ping()
    async with Redis.from_url(valkey.url, decode_responses=True, socket_timeout=15) as own:
        yield own


@pytest.fixture
async def queue(client: Redis) -> Queue:
    """An empty queue."""
    return Queue("q", {"connection": client})


def engine(client: Redis, **options: object) -> EngineWorker:
    """Make a worker that nobody runs."""
    fixed: Options = {"connection": client, "autorun": False, "lockDuration": 10_000, "drainDelay": 1}
    return EngineWorker("q", None, fixed | options)


async def _add(queue: Queue, count: int, **options: object) -> None:
    for number in range(count):
        await queue.add("a", {"n": number}, {"jobId": f"j{number}", **options})


async def _first(worker: EngineWorker) -> EngineJob:
    job = await worker.getNextJob("first")
    assert job is not None
    return job


@pytest.mark.parametrize("way", ["complete", "fail", "delay"])
async def test_ending_a_job_gives_the_next_under_a_lock_of_its_own(queue: Queue, client: Redis, way: str) -> None:
    """The next job is active, locked by its own token, and the one before has no lock any more."""
    await _add(queue, 2)
    worker = engine(client)
    job = await _first(worker)
    following = await _end(worker, job, way)
    assert following is not None
    assert (following.id, following.data) == ("j1", {"n": 1})
    assert following.token not in {job.token, None}
    assert await client.get("bull:q:j1:lock") == following.token
    assert await client.get("bull:q:j0:lock") is None
    assert await queue.getJobState("j0") == {"complete": "completed", "fail": "failed", "delay": "delayed"}[way]
    assert await _end(worker, following, "complete") is None
    assert worker.drained


@pytest.mark.parametrize("way", ["complete", "fail", "delay"])
async def test_without_fetch_nothing_is_taken(queue: Queue, client: Redis, way: str) -> None:
    """A worker that stops leaves what waits to others."""
    await _add(queue, 2)
    worker = engine(client)
    assert await _end(worker, await _first(worker), way, fetch=False) is None
    assert await queue.getJobState("j1") == "waiting"


async def test_every_job_has_a_token_of_its_own(queue: Queue, client: Redis) -> None:
    """A hundred jobs through four slots: a hundred tokens."""
    await _add(queue, 100)
    worker = engine(client)
    tokens: list[str] = []

    async def slot(number: int) -> None:
        job = await worker.getNextJob(f"slot-{number}")
        while job is not None:
            tokens.append(job.token)
            job = await _end(worker, job, "complete")

    await asyncio.gather(*(slot(number) for number in range(4)))
    assert len(tokens) == len(set(tokens)) == 100
    assert await queue.getJobCounts("completed", "active", "waiting") == {"completed": 100, "active": 0, "waiting": 0}


async def test_a_paused_queue_gives_nothing(queue: Queue, client: Redis) -> None:
    """Pausing takes effect at the next end of a job."""
    await _add(queue, 2)
    worker = engine(client)
    job = await _first(worker)
    await queue.pause()
    assert await _end(worker, job, "complete") is None
    assert await queue.getJobState("j1") == "waiting"


async def test_a_rate_limit_gives_nothing_until_its_window_ends(queue: Queue, client: Redis) -> None:
    """The limit is the script's, whoever asks."""
    await _add(queue, 3)
    worker = engine(client, limiter={"max": 2, "duration": 60_000})
    job = await _end(worker, await _first(worker), "complete")
    assert job is not None
    assert await _end(worker, job, "complete") is None
    assert worker.limitUntil > 0
    await client.delete("bull:q:limiter")


async def test_a_global_concurrency_holds(queue: Queue, client: Redis) -> None:
    """With one job active elsewhere and a limit of one, ending gives nothing."""
    await _add(queue, 3)
    worker = engine(client)
    first, _second = await _first(worker), await worker.getNextJob("second")
    await queue.setGlobalConcurrency(1)
    assert await _end(worker, first, "complete") is None


async def test_the_next_delayed_job_tells_until_when_to_wait(queue: Queue, client: Redis) -> None:
    """A delayed job that is due comes next; one that is not says when it will be."""
    await queue.add("a", {}, {"jobId": "now"})
    await queue.add("a", {}, {"jobId": "later", "delay": 60_000})
    worker = engine(client)
    assert await _end(worker, await _first(worker), "complete") is None
    assert abs(worker.blockUntil - (time.time() + 60) * 1000) < 2_000


@pytest.mark.parametrize("way", ["complete", "fail", "delay"])
async def test_who_has_lost_the_lock_ends_nothing_and_gets_nothing(queue: Queue, client: Redis, way: str) -> None:
    """The lock is another's: no word is written, and no job taken."""
    await _add(queue, 2)
    worker = engine(client)
    job = await _first(worker)
    await client.set("bull:q:j0:lock", "another", px=60_000)
    with pytest.raises(TypeError, match="Lock mismatch"):
        await _end(worker, job, way)
    assert await queue.getJobCounts("active", "waiting") == {"active": 1, "waiting": 1}


async def test_a_failed_job_keeps_its_reason_and_a_completed_one_its_value(queue: Queue, client: Redis) -> None:
    """What is stored is what the engine's own calls store."""
    await _add(queue, 2)
    worker = engine(client)
    second = await worker.complete(await _first(worker), '{"a":1}', keep=_KEEP, fetch=True)
    assert second is not None
    await worker.fail(second, _REASON, keep=_KEEP, fetch=True)
    done, failed = await queue.getJob("j0"), await queue.getJob("j1")
    assert (done.returnvalue, done.attemptsMade, failed.failedReason) == ({"a": 1}, 1, "no")
    assert done.finishedOn
    assert failed.finishedOn


@pytest.mark.parametrize(
    ("rule", "kept"), [(True, 0), (False, 3), (None, 3), (2, 2), ({"count": 1}, 1), ({"age": 60}, 3)]
)
async def test_a_job_is_kept_by_its_own_rule(queue: Queue, client: Redis, rule: object, kept: int) -> None:
    """Whoever adds a job may write its rule in any of the engine's ways."""
    await _add(queue, 3)
    worker = engine(client)
    job: EngineJob | None = await _first(worker)
    while job is not None:
        job = await worker.complete(job, "null", keep=rule, fetch=True)
    assert await queue.getJobCounts("completed") == {"completed": kept}


async def test_a_server_that_has_forgotten_the_script_is_told_it(queue: Queue, client: Redis) -> None:
    """After a restart, or SCRIPT FLUSH, the end of a job is written all the same."""
    await _add(queue, 2)
    worker = engine(client)
    job = await _first(worker)
    await client.script_flush()
    following = await worker.complete(job, "null", keep=_KEEP, fetch=True)
    assert following is not None
    assert following.id == "j1"


async def test_a_package_that_was_not_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another version, or a changed script, stops the worker at its start and says what to install."""
    monkeypatch.setattr(engine_worker, "_VERSION", "3.4.5")
    with pytest.raises(Misconfigured, match=r"install exactly 3\.4\.5"):
        engine_worker.finish_script()


async def _end(worker: EngineWorker, job: EngineJob, way: str, *, fetch: bool = True) -> EngineJob | None:
    match way:
        case "complete":
            return await worker.complete(job, "null", keep=_KEEP, fetch=fetch)
        case "fail":
            return await worker.fail(job, _REASON, keep=_KEEP, fetch=fetch)
        case _:
            return await worker.delay(job, 60_000, {}, fetch=fetch)
