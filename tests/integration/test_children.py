"""A job that has parts done by other jobs: they are added once, and it waits for them without a place in a worker."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest
from pydantic import BaseModel

from corral.valkey import ValkeyServer
from producers import connection
from producers.engine.jobs import Engine
from schemas.errors import ChildFailed, ChildrenPending, PayloadInvalid
from schemas.job_status import JobRecord, JobState
from tests.support.fake_children import FakeChildren
from tests.support.fleet import QUEUE, Fleet, Seen, Trial, Verdict, entry, hang, raising, spec
from tests.support.until import until
from worker.adapters.engine_children import EngineChildren
from worker.ports import Child, Children, JobContext

PARENT, PART = spec("whole"), spec("part")
PARTS = [Child(f"part-{number}", PART, Trial(text=f"p{number}", number=number)) for number in range(3)]


@pytest.fixture
async def children(fleet: Fleet, valkey: ValkeyServer) -> AsyncIterator[EngineChildren]:
    """The engine's own, on a worker's connection."""
    assert await fleet.redis.ping()
    async with connection.patient(valkey.url) as client:
        yield EngineChildren(Engine(client, prefix="bull", keep_finished_s=3600), client, prefix="bull")


@dataclass
class Whole:
    """A handler with parts; remembers what they gave."""

    parts: list[Child]
    collect: bool = False
    calls: int = 0

    async def __call__(self, _payload: Trial, job: JobContext) -> Verdict:
        """Fan out, and put together."""
        self.calls += 1
        found = await job.use(Children).run(job, self.parts, on_failure="collect" if self.collect else "fail")
        return Verdict(text=" ".join(str(one.result["text"]) if one.result else one.status.state for one in found))


async def shout(payload: Trial, _job: JobContext) -> Verdict:
    """Do a part; one of them cannot be done."""
    if payload.number < 0:
        raise PayloadInvalid("a part is broken")
    return Verdict(text=payload.text.upper())


# --- The contract, of the real thing and of the fake.

Work = Callable[[], Awaitable[None]]


@pytest.fixture(params=["engine", "fake"])
async def contract(request: pytest.FixtureRequest, fleet: Fleet, children: EngineChildren) -> tuple[Children, Work]:
    """Children, and what does them."""
    fake = FakeChildren()

    async def in_memory() -> None:
        async def handle(payload: BaseModel) -> BaseModel:
            return await shout(Trial.model_validate(payload.model_dump()), Job("unused"))  # type: ignore[arg-type]

        await fake.work(handle)

    async def by_a_worker() -> None:
        async with fleet.worker(entry(shout, PART)):
            await until(lambda: idle(fleet))

    return (children, by_a_worker) if request.param == "engine" else (fake, in_memory)


@dataclass
class Job:
    """As much of a job as the port looks at."""

    id: str
    tenant: str = "acme"


async def test_the_first_call_adds_and_the_last_one_collects(fleet: Fleet, contract: tuple[Children, Work]) -> None:
    """In the order given, whatever the order of their ends, and safe to repeat in between."""
    children, work = contract
    job = Job(await fleet.add(PARENT, Trial(), tenant="acme"))
    await fleet.redis.lrem(f"bull:{QUEUE}:wait", 1, job.id)
    for _ in range(2):
        with pytest.raises(ChildrenPending):
            await children.run(job, PARTS)  # type: ignore[arg-type]  # as much of a job as is needed
    await work()
    found: list[JobRecord] = await children.run(job, PARTS)  # type: ignore[arg-type]  # as above
    assert [one.result["text"] for one in found] == ["P0", "P1", "P2"]
    assert await children.run(job, []) == []  # type: ignore[arg-type]  # as above
    await fleet.redis.lpush(f"bull:{QUEUE}:wait", job.id)


async def test_a_failed_child_fails_or_is_collected(fleet: Fleet, contract: tuple[Children, Work]) -> None:
    """As the handler asks; the error names the child and its reason."""
    children, work = contract
    job = Job(await fleet.add(PARENT, Trial()))
    await fleet.redis.lrem(f"bull:{QUEUE}:wait", 1, job.id)
    parts = [*PARTS[:1], Child("broken", PART, Trial(number=-1))]
    with pytest.raises(ChildrenPending):
        await children.run(job, parts)  # type: ignore[arg-type]  # as above
    await work()
    with pytest.raises(ChildFailed, match=r"1 of 2; \S+ is failed: payload_invalid: a part is broken"):
        await children.run(job, parts)  # type: ignore[arg-type]  # as above
    found = await children.run(job, parts, on_failure="collect")  # type: ignore[arg-type]  # as above
    assert [one.status.state for one in found] == [JobState.COMPLETED, JobState.FAILED]
    await fleet.redis.lpush(f"bull:{QUEUE}:wait", job.id)


# --- With the engine, a worker and everything.


async def test_two_runners_of_a_parent_add_many_children_once(fleet: Fleet, children: EngineChildren) -> None:
    """In more than one go each; a third finds what one of them has left out when it died."""
    job = Job(await fleet.add(PARENT, Trial()))
    many = [Child(f"part-{number}", PART, Trial(number=number)) for number in range(450)]
    with pytest.raises(ChildrenPending):
        await children.run(job, many[:250])  # type: ignore[arg-type]  # as much of a job as is needed
    runs = (children.run(job, many) for _ in range(2))  # type: ignore[arg-type]  # as above
    outcomes = await asyncio.gather(*runs, return_exceptions=True)
    assert [type(one) for one in outcomes] == [ChildrenPending, ChildrenPending]
    assert await fleet.redis.scard(f"bull:{QUEUE}:{job.id}:dependencies") == len(many)
    assert "duplicated" not in str(await fleet.redis.xrange(f"bull:{QUEUE}:events"))


async def test_a_parent_waits_without_a_place_in_the_worker(fleet: Fleet, children: EngineChildren) -> None:
    """One place is enough for a parent and three parts; the attempt that waited is not counted."""
    whole = Whole(PARTS)
    job_id = await fleet.add(PARENT, Trial(), tenant="acme")
    async with fleet.worker(
        entry(whole, PARENT, Children), entry(shout, PART), ports={Children: children}, concurrency=1
    ):
        job = await fleet.ended(job_id)
    assert (job.status.state, job.result["text"], whole.calls) == (JobState.COMPLETED, "P0 P1 P2", 2)
    assert (await fleet.raw(job_id))["atm"] == "1"
    parts = [key async for key in fleet.redis.scan_iter(match=f"bull:{QUEUE}:{QUEUE}_*", _type="hash")]
    job_ids = {str(key).split(":")[2] for key in parts}
    tenants = {(await fleet.job(one)).data["_corral"]["tenant"] for one in job_ids}
    assert (len(job_ids), tenants) == (4, {"acme"})


async def test_a_parent_fails_with_its_child(fleet: Fleet, children: EngineChildren) -> None:
    """When all have ended, and with the child's reason."""
    parts = [*PARTS, Child("broken", PART, Trial(number=-1))]
    job_id = await fleet.add(PARENT, Trial())
    async with fleet.worker(entry(Whole(parts), PARENT, Children), entry(shout, PART), ports={Children: children}):
        job = await fleet.ended(job_id)
    assert job.status.error is not None
    assert (job.status.state, job.status.error.code) == (JobState.FAILED, "child_failed")


async def test_a_parent_that_was_cut_off_adds_no_child_twice(fleet: Fleet, children: EngineChildren) -> None:
    """Its first attempt fails after they were added; a failed child among them holds nobody up."""

    async def stumble(payload: Trial, job: JobContext) -> Verdict:
        with pytest.raises(ChildrenPending):
            await job.use(Children).run(job, parts)
        await until(lambda: len(part.runs) == len(parts))
        return await raising(OSError("the network"))(payload, job)  # type: ignore[return-value]  # it raises

    parts = [Child("broken", PART, Trial(number=-1)), *PARTS]
    part, whole = Seen([shout]), Seen([stumble, Whole(parts, collect=True)])
    job_id = await fleet.add(PARENT, Trial())
    async with fleet.worker(entry(whole, PARENT, Children), entry(part, PART), ports={Children: children}):
        job = await fleet.ended(job_id)
    assert job.result["text"] == "failed P0 P1 P2"
    assert len({run.id for run in part.runs}) == len(part.runs) == 4


async def test_a_parent_that_does_not_wait_ends_after_its_children_all_the_same(
    fleet: Fleet, children: EngineChildren
) -> None:
    """A handler that forgets them is called anew when they have ended; its owner hears of one end, the last."""

    async def forget(_payload: Trial, job: JobContext) -> Verdict:
        if not part.runs:
            with pytest.raises(ChildrenPending):
                await job.use(Children).run(job, PARTS)
        return Verdict(text="done")

    part = Seen([shout])
    job_id = await fleet.add(PARENT, Trial())
    async with fleet.worker(
        entry(forget, PARENT, Children), entry(part, PART), ports={Children: children}, concurrency=1
    ):
        job = await fleet.ended(job_id)
    assert (job.result["text"], len(part.runs)) == ("done", 3)


async def test_who_cancels_a_parent_cancels_its_children(fleet: Fleet, children: EngineChildren) -> None:
    """Those that run are stopped within a second, those that wait never begin, and then the parent ends."""
    part = Seen([hang])
    job_id = await fleet.add(PARENT, Trial())
    async with fleet.worker(
        entry(Whole(PARTS), PARENT, Children), entry(part, PART), ports={Children: children}, concurrency=2
    ):
        await until(lambda: len(part.runs) == 2)
        await fleet.engine.request_cancel(job_id)
        job = await fleet.ended(job_id, within_s=3)
    assert job.status.state is JobState.CANCELLED
    assert len(part.runs) == 2
    assert await fleet.redis.zcard(f"bull:{QUEUE}:failed") == 4


async def test_the_children_of_a_parent_that_has_failed_are_cancelled(fleet: Fleet, children: EngineChildren) -> None:
    """Nobody wants their results any more."""

    async def give_up(_payload: Trial, job: JobContext) -> Verdict:
        with pytest.raises(ChildrenPending):
            await job.use(Children).run(job, PARTS)
        raise PayloadInvalid("after all")

    part = Seen([hang])
    job_id = await fleet.add(PARENT, Trial())
    async with fleet.worker(entry(give_up, PARENT, Children), entry(part, PART), ports={Children: children}):
        assert (await fleet.ended(job_id)).status.state is JobState.FAILED
        await until(lambda: all_ended(fleet, 4))


async def idle(fleet: Fleet) -> bool:
    """Tell whether nothing waits and nothing runs."""
    waiting = await fleet.redis.llen(f"bull:{QUEUE}:wait") + await fleet.redis.zcard(f"bull:{QUEUE}:prioritized")
    return waiting + await fleet.redis.llen(f"bull:{QUEUE}:active") == 0


async def all_ended(fleet: Fleet, count: int) -> bool:
    """Tell whether so many jobs have failed or were cancelled."""
    return await fleet.redis.zcard(f"bull:{QUEUE}:failed") == count
