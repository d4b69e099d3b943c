"""Cancelling a job cancels all that was added for it, and for those, wherever each of them is."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from redis.asyncio import Redis

from corral.stack import new_secret
from corral.valkey import ValkeyServer
from producers.engine.cancel import CANCEL_FIELD, moot
from producers.engine.new_job import NewJob
from producers.tenants.tenancy import tenancy
from schemas import job_id as ids
from schemas.envelope import Callback, Envelope
from schemas.errors import PayloadInvalid, Retryable
from schemas.job_spec import RetryPolicy
from schemas.job_status import JobState
from schemas.jobs.callbacks import DELIVER, DeliverCallback
from schemas.settings import TenantSettings
from tests.support.callback_sender import callback_sender, job_reader
from tests.support.fleet import QUEUE, Fleet, Trial, Verdict, entry, spec
from tests.support.http_receiver import HttpReceiver
from tests.support.until import until
from worker.adapters.engine_children import EngineChildren
from worker.handlers.callbacks.deliver import PORTS
from worker.handlers.callbacks.deliver import handle as deliver
from worker.ports import CallbackSender, Child, Children, JobContext, JobReader
from worker.registry import Entry

# A retry is an hour away: only a wish brings a delayed job back.
NEVER = RetryPolicy(attempts=2, base_s=1e9, cap_s=1e9)
ROOT, BRANCH, LEAF = spec("root"), spec("branch"), spec("leaf", retry=NEVER)
LEAVES = [Child(str(number), LEAF, Trial(text=text)) for number, text in enumerate(("fail", "hang", "hang", "hang"))]
STATES = {"active": 3, "delayed": 2, "prioritized": 1, "waiting-children": 2}


@dataclass
class Family:
    """A job with a callback, two children that are leaves, and one that has four more; three run at once.

    Of the six leaves two have failed and are delayed, three run, and one waits; the other two wait for them.
    """

    fleet: Fleet
    receiver: HttpReceiver
    root: str
    begun: int = 0
    stopped: list[float] = field(default_factory=list)

    async def branch(self, payload: Trial, job: JobContext) -> Verdict:
        """Have others do the work."""
        below = [Child("branch", BRANCH, Trial()), *LEAVES[:2]] if payload.text == "root" else LEAVES
        await job.use(Children).run(job, below)
        return Verdict()

    async def leaf(self, payload: Trial, _job: JobContext) -> Verdict:
        """Fail, or run until somebody ends it."""
        if payload.text == "fail":
            raise Retryable("in an hour")
        self.begun += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.stopped.append(time.monotonic())
        return Verdict()

    async def counts(self) -> dict[str, int]:
        """Count the family by the engine's states."""
        found = await self.fleet.engine.counts(QUEUE)
        return {state: count for state, count in found.items() if count}

    async def ended(self) -> bool:
        """Tell whether all eight have ended, and none completed."""
        return await self.counts() == {"failed": sum(STATES.values())}

    async def codes(self) -> set[str]:
        """Give the codes with which they ended."""
        jobs = await self.fleet.redis.zrange(f"bull:{QUEUE}:failed", 0, -1)
        found = [(await self.fleet.job(str(one))).status.error for one in jobs]
        return {one.code for one in found if one is not None}


@pytest.fixture
def fair(redis: Redis, valkey: ValkeyServer) -> Fleet:
    """Jobs with a place among tenants, as workers add them."""
    return Fleet(redis, tenancy(TenantSettings(redis_url=valkey.url), redis)[0])


@asynccontextmanager
async def growing(fleet: Fleet, receiver: HttpReceiver) -> AsyncIterator[Family]:
    """Run the family until each of it is in its state."""
    root = ids.new(QUEUE)
    notice = DeliverCallback(job_id=root, kind=ROOT.kind, callback=Callback.model_validate({"url": receiver.url}))
    callback = NewJob(f"callbacks_{root.partition('_')[2]}", DELIVER, Envelope().wrap(notice))
    family = Family(fleet, receiver, root)
    await fleet.engine.add(NewJob(root, ROOT, Envelope().wrap(Trial(text="root")), callback))
    entries = [entry(family.branch, kind, Children) for kind in (ROOT, BRANCH)]
    entries += [entry(family.leaf, LEAF), Entry(DELIVER, deliver, frozenset(PORTS))]
    async with callback_sender(fleet, new_secret()) as sender:
        ports: dict[type, object] = {
            Children: EngineChildren(fleet.engine, fleet.redis, prefix="bull"),
            CallbackSender: sender,
            JobReader: job_reader(fleet),
        }
        async with fleet.worker(*entries, ports=ports, concurrency=3):
            await until(lambda: all_in_place(family))
            yield family


async def all_in_place(family: Family) -> bool:
    """Tell whether the family is as it is described."""
    return family.begun == STATES["active"] and await family.counts() == STATES


async def test_the_whole_family_ends_whatever_each_is_doing(fair: Fleet, receiver: HttpReceiver) -> None:
    """Those that run within a second, one that waits is not begun, delayed ones do not come; one callback says it."""
    async with growing(fair, receiver) as family:
        asked = time.monotonic()
        assert await fair.engine.request_cancel(family.root)
        await until(lambda: len(family.stopped) == 3)
        assert max(family.stopped) - asked < 1.0
        assert (await fair.ended(family.root, within_s=5)).status.state is JobState.CANCELLED
        await until(lambda: bool(receiver.requests))
        assert await family.ended()
        assert await family.codes() == {"job_cancelled"}
        assert family.begun == 3
    (callback,) = receiver.requests
    assert json.loads(callback.body)["type"] == "job.cancelled"


async def test_who_dies_while_asking_leaves_nobody_running(fair: Fleet, receiver: HttpReceiver) -> None:
    """The wish has got no further than the first job: who runs or is taken looks up; to ask again ends the rest."""
    async with growing(fair, receiver) as family:
        asked = time.monotonic()
        await fair.redis.hset(f"bull:{QUEUE}:{family.root}", CANCEL_FIELD, "1")
        await until(lambda: len(family.stopped) == 3)
        assert max(family.stopped) - asked < 1.0
        await until(lambda: all_but_delayed_ended(family))
        assert await fair.engine.request_cancel(family.root)
        await until(family.ended)
        assert (family.begun, await family.codes()) == (3, {"job_cancelled"})
        await until(lambda: bool(receiver.requests))


async def all_but_delayed_ended(family: Family) -> bool:
    """Tell whether only those are left that are delayed, and those that wait for them."""
    return await family.counts() == {"failed": 4, "delayed": 2, "waiting-children": 2}


async def test_what_a_family_does_not_belong_to_goes_on(fair: Fleet, receiver: HttpReceiver) -> None:
    """Who cancels a branch cancels what is below it and nothing beside it or above."""
    async with growing(fair, receiver) as family:
        (branch,) = [one for one in await waiting_parents(fair) if one != family.root]
        assert await fair.engine.request_cancel(branch)
        await fair.ended(branch, within_s=5)
        await until(lambda: only_beside_left(family))
        assert (await fair.job(family.root)).status.state is JobState.WAITING
    assert not receiver.requests
    await fair.redis.flushall()


async def waiting_parents(fleet: Fleet) -> list[str]:
    """Give the jobs that wait for others."""
    return [str(one) for one in await fleet.redis.zrange(f"bull:{QUEUE}:waiting-children", 0, -1)]


async def only_beside_left(family: Family) -> bool:
    """Tell whether the root's own leaves are as they were, and all of the branch has ended."""
    return await family.counts() == {"failed": 5, "active": 1, "delayed": 1, "waiting-children": 1}


async def test_grandchildren_of_a_job_that_has_failed_are_cancelled(fair: Fleet, receiver: HttpReceiver) -> None:
    """As are its children: nobody wants their results any more."""
    running = asyncio.Event()

    async def root(_payload: Trial, job: JobContext) -> Verdict:
        try:
            await job.use(Children).run(job, [Child("branch", BRANCH, Trial())])
        finally:
            await running.wait()
            raise PayloadInvalid("after all")

    async def branch(_payload: Trial, job: JobContext) -> Verdict:
        await job.use(Children).run(job, LEAVES[1:2])
        return Verdict()

    async def leaf(_payload: Trial, _job: JobContext) -> Verdict:
        running.set()
        await asyncio.Event().wait()
        return Verdict()

    job_id = await fair.add(ROOT, Trial())
    ports: dict[type, object] = {Children: EngineChildren(fair.engine, fair.redis, prefix="bull")}
    entries = [entry(root, ROOT, Children), entry(branch, BRANCH, Children), entry(leaf, LEAF)]
    async with fair.worker(*entries, ports=ports):
        assert (await fair.ended(job_id)).status.state is JobState.FAILED
        await until(lambda: three_failed(fair))
    assert not receiver.requests


async def test_no_one_looks_beyond_the_job_that_somebody_asked_for(fair: Fleet, receiver: HttpReceiver) -> None:
    """Its callback is above it in the engine's flow, and whoever gives that up has not cancelled the job."""
    async with growing(fair, receiver) as family:
        above = f"bull:callbacks:callbacks_{family.root.partition('_')[2]}"
        await fair.redis.hset(above, CANCEL_FIELD, "1")
        assert await moot(fair.redis, f"bull:{QUEUE}:{family.root}") == 0
        assert await moot(fair.redis, above) == 1
    await fair.redis.flushall()


async def three_failed(fleet: Fleet) -> bool:
    """Tell whether all three generations have ended."""
    return await fleet.redis.zcard(f"bull:{QUEUE}:failed") == 3
