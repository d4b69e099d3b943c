"""The bullmq package works on the pipelining client as on redis-py's own: each of its methods that Corral uses."""

import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from bullmq import FlowProducer, Job, Queue, QueueEvents, Worker
from bullmq.custom_errors import DelayedError, UnrecoverableError
from redis.asyncio import Redis

from corral.valkey import ValkeyServer
from producers.pipelining import PipeliningRedis
from tests.support.until import until

Result = Any
Options = dict[str, Any]
_KEEP: Options = {"removeOnComplete": {"age": 60}, "removeOnFail": {"age": 60}}


@pytest.fixture(params=[Redis, PipeliningRedis], ids=["redis-py", "pipelining"])
async def client(
    request: pytest.FixtureRequest, valkey: ValkeyServer, redis: Redis
) -> AsyncIterator[Redis | PipeliningRedis]:
    """The package's connection: redis-py's own client, or ours."""
    await redis.ping()
    async with request.param.from_url(valkey.url, decode_responses=True, socket_timeout=15) as connection:
        yield connection


async def test_a_queue_is_filled_and_read(client: Redis) -> None:
    """Adding, one by one, together and at once; reading back; counting by state."""
    queue = Queue("q", {"connection": client})
    job = await queue.add("a", {"n": 0}, {"jobId": "j0"})
    await asyncio.gather(*(queue.add("a", {"n": n}, {"jobId": f"j{n}"}) for n in range(1, 20)))
    await queue.addBulk([{"name": "a", "data": {}, "opts": {"jobId": f"b{n}"}} for n in range(5)])
    await queue.add("a", {}, {"jobId": "late", "delay": 60_000})
    await queue.add("a", {}, {"jobId": "first", "priority": 1})
    again = await queue.add("a", {"n": "again"}, {"jobId": "j0"})
    counts = await queue.getJobCounts("waiting", "delayed", "prioritized", "active", "completed", "failed")
    assert counts == {"waiting": 25, "delayed": 1, "prioritized": 1, "active": 0, "completed": 0, "failed": 0}
    assert (job.id, again.id, (await queue.getJob("j0")).data) == ("j0", "j0", {"n": 0})
    assert [await queue.getJobState(name) for name in ("j0", "late", "first", "none")] == [
        *("waiting", "delayed", "prioritized", "unknown")
    ]
    assert {found.id for found in await queue.getJobs(["waiting"], 0, 1)} == {"b4", "b3"}
    await queue.obliterate(force=True)


async def test_an_operator_steers_a_queue(client: Redis) -> None:
    """Pause, resume, promote, remove, drain, clean, limits and obliterate."""
    queue = Queue("q", {"connection": client})
    jobs = [await queue.add("a", {}, {"delay": 60_000}) for _ in range(3)]
    await queue.pause()
    assert await queue.isPaused()
    await queue.resume()
    assert not await queue.isPaused()
    await jobs[0].promote()
    await jobs[1].remove()
    assert await queue.getJobCounts("waiting", "delayed") == {"waiting": 1, "delayed": 1}
    await queue.promoteJobs({})
    await queue.setGlobalConcurrency(3)
    assert await queue.getGlobalConcurrency() == 3
    await queue.removeGlobalConcurrency()
    await jobs[0].updateProgress({"done": 1})
    await jobs[0].log("line")
    assert await queue.getJobLogs(jobs[0].id) == {"logs": ["line"], "count": 1}
    assert (await queue.getJob(jobs[0].id)).progress == {"done": 1}
    await queue.drain(delayed=True)
    assert await queue.clean(0, 10, "completed") == []
    await queue.obliterate()
    assert [key async for key in client.scan_iter(match="bull:q:*")] == []


async def test_a_flow_waits_for_its_children(client: Redis) -> None:
    """A parent runs after its children, with their results, and with those that failed ignored."""
    flows = FlowProducer({"connection": client})
    ran: list[str] = []

    async def process(job: Job, _token: str) -> Result:
        ran.append(job.name)
        if job.name == "bad":
            raise UnrecoverableError("no")
        return await job.getChildrenValues() if job.name == "parent" else job.name

    child: Options = {"queueName": "q", "data": {}, "opts": {"ignoreDependencyOnFailure": True, **_KEEP}}
    children = [{"name": "good", **child}, {"name": "bad", **child}]
    tree = await flows.add({"name": "parent", "queueName": "q", "data": {}, "opts": _KEEP, "children": children})
    async with _running(client, process, concurrency=1):
        queue = Queue("q", {"connection": client})
        await until(lambda: _is(queue, tree["job"].id, "completed"))
        parent = await queue.getJob(tree["job"].id)
    assert ran[-1] == "parent"
    assert list(parent.returnvalue.values()) == ["good"]


async def test_a_worker_runs_the_whole_cycle(client: Redis) -> None:
    """Completion, failure, retry with back-off, delay from within, locks renewed, name seen by getWorkers."""
    queue = Queue("q", {"connection": client})
    seen: list[tuple[str, int]] = []

    async def process(job: Job, token: str) -> Result:
        seen.append((job.name, job.attemptsMade))
        if job.name == "retried" and job.attemptsMade == 0:
            raise RuntimeError("again")
        if job.name == "failing":
            raise UnrecoverableError("never")
        if job.name == "moved" and len(seen) < 100 and ("moved", 0) not in seen[:-1]:
            await job.moveToDelayed(round(time.time() * 1000) + 20, token)
            raise DelayedError
        if job.name == "long":
            await until(held.is_set)
        return {"name": job.name}

    held = asyncio.Event()
    names = ["plain", "failing", "moved", "long"]
    jobs = {name: await queue.add(name, {}, _KEEP) for name in names}
    jobs["retried"] = await queue.add("retried", {}, {"attempts": 2, "backoff": 20, **_KEEP})
    async with _running(client, process, concurrency=5, name="w1") as worker:
        renewed: list[Options] = []
        worker.on("locksRenewed", renewed.append)
        await until(lambda: renewed)
        held.set()
        for name, job in jobs.items():
            state = "failed" if name == "failing" else "completed"
            await until(partial(_is, queue, job.id, state))
        assert {found["rawname"] for found in await queue.get_workers()} == {"bull:q:w:w1"}
    assert (await queue.getJob(jobs["failing"].id)).failedReason == "never"
    assert (await queue.getJob(jobs["retried"].id)).attemptsMade == 2
    assert (await queue.getJob(jobs["plain"].id)).returnvalue == {"name": "plain"}


async def test_a_delayed_job_and_one_added_to_an_idle_worker_are_picked_up(client: Redis) -> None:
    """The blocking read has a socket of its own: adding goes on, and wakes it."""
    queue = Queue("q", {"connection": client})
    started: dict[str, float] = {}

    async def process(job: Job, _token: str) -> Result:
        started[job.name] = time.time() - job.timestamp / 1000

    async with _running(client, process, concurrency=3) as worker:
        await worker.blockingRedisConnection.getRedisVersion()
        await until(lambda: worker.waiting is not None)
        await queue.add("now", {}, _KEEP)
        await until(lambda: "now" in started)
        await queue.add("later", {}, {"delay": 300, **_KEEP})
        await until(lambda: "later" in started)
    assert started["now"] < 0.2
    assert 0.29 < started["later"] < 0.6


async def test_events_and_schedules(client: Redis) -> None:
    """The event stream is read while jobs are added; a scheduler makes its jobs, and is removed."""
    queue = Queue("q", {"connection": client})
    events = QueueEvents("q", {"connection": client, "autorun": False})
    heard: list[str] = []
    events.on("waiting", lambda event, _id: heard.append(event["jobId"]))
    reading = asyncio.create_task(events.run())
    await until(lambda: _blocked(client))
    job = await queue.add("a", {}, _KEEP)
    await until(lambda: heard == [job.id])
    await queue.upsertJobScheduler("s", {"every": 60_000}, "tick", {})
    assert await queue.getJobSchedulersCount() == 1
    assert (await queue.getJobScheduler("s"))["key"] == "s"
    assert await queue.removeJobScheduler("s") == 0
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await queue.obliterate(force=True)


class _running:  # noqa: N801 - reads as a function, as contextmanager's do
    """A worker for the length of a block; it is idle and closed after it."""

    def __init__(self, client: Redis, process: Result, **options: object) -> None:
        limits: Options = {"connection": client, "autorun": False, "lockDuration": 400, "drainDelay": 1}
        self.worker = Worker("q", process, limits | options)
        self.task = asyncio.create_task(self.worker.run())

    async def __aenter__(self) -> Worker:
        return self.worker

    async def __aexit__(self, *_: object) -> None:
        await self.worker.close()
        await self.task


async def _is(queue: Queue, job_id: str, state: str) -> bool:
    return bool(await queue.getJobState(job_id) == state)


async def _blocked(client: Redis) -> bool:
    return bool((await client.info("clients"))["blocked_clients"])
