"""The reconciler finds each callback that nothing else would send, and none that was sent."""

import asyncio
import json
import time

import pytest
from bullmq import FlowProducer, Queue

from producers.engine import walk
from producers.engine.new_job import Keep
from schemas.errors import Permanent
from schemas.job_status import JobState
from tests.support.callback import CALLBACKS, add, all_told, deliver, reconciliation, told, wanting
from tests.support.fleet import QUEUE, Fleet, entry, raising, succeed
from tests.support.http_receiver import HttpReceiver
from tests.support.node import interop, needs_node
from tests.support.until import until


@needs_node
@pytest.mark.guarantee("end", "a worker in Node does what was added plainly", "delivered within a turn")
async def test_a_plain_job_that_node_has_done_is_told_once(
    fleet: Fleet, receiver: HttpReceiver, ports: dict[type, object]
) -> None:
    """Its worker knows nothing of callbacks; the next turn does, and the one after that knows that it was told."""
    job_id = await fleet.add_raw(wanting(receiver.url, text="a"))
    await interop(fleet.url, QUEUE, "work")
    for _ in range(2):
        await reconciliation(fleet).turn()
        await deliver(fleet, receiver, ports)
    event = told(receiver)
    assert (event.type, event.data.id, event.data.result["by"]) == ("job.completed", job_id, "node")


@needs_node
@pytest.mark.guarantee("end", "a worker in Node does it after a turn has seen it, and it was to vanish", "delivered")
async def test_a_plain_job_that_node_has_done_is_told_at_once(
    fleet: Fleet, receiver: HttpReceiver, ports: dict[type, object]
) -> None:
    """By the script that ends it; its record stays, whoever ends it."""
    job_id = await fleet.add_raw(wanting(receiver.url), removeOnComplete=True)
    await reconciliation(fleet).turn()
    await interop(fleet.url, QUEUE, "work")
    await deliver(fleet, receiver, ports)
    assert told(receiver).data.result["by"] == "node"
    assert (await fleet.job(job_id)).status.finished_at is not None


@pytest.mark.guarantee("end", "its keys are deleted by hand", "delivered within a turn, `job_removed`")
async def test_a_job_whose_keys_were_deleted_is_told(
    fleet: Fleet, receiver: HttpReceiver, ports: dict[type, object]
) -> None:
    """No script of the engine has run, so its callback waits for what will never end."""
    job_id, callback = await add(fleet, receiver.url)
    await fleet.redis.delete(f"bull:{QUEUE}:{job_id}")
    await fleet.redis.lrem(f"bull:{QUEUE}:wait", 1, job_id)
    assert (await reconciliation(fleet).turn()).woken == 1
    await deliver(fleet, receiver, ports)
    error = told(receiver).data.error
    assert error is not None
    assert error.code == "job_removed"
    assert receiver.requests[0].headers["webhook-id"] == callback


@pytest.mark.guarantee(
    "end", "a flow added by hand forgets `ignoreDependencyOnFailure`, and the job fails", "delivered within a turn"
)
async def test_a_callback_whose_job_ended_without_moving_it_is_woken(
    fleet: Fleet, receiver: HttpReceiver, ports: dict[type, object]
) -> None:
    """The engine leaves such a parent waiting for ever."""
    told_of = {"job_id": f"{QUEUE}_1a", "kind": "trials.run", "callback": {"url": receiver.url}}
    child = {"name": "run", "queueName": QUEUE, "data": {}, "opts": {"jobId": f"{QUEUE}_1a"}}
    parent = {"name": "deliver", "queueName": "callbacks", "data": told_of, "opts": {"jobId": "callbacks_1a"}}
    await FlowProducer({"connection": fleet.redis}).add({**parent, "children": [child]})
    async with fleet.worker(entry(raising(Permanent("it is broken"))), CALLBACKS, ports=ports):
        await fleet.ended(f"{QUEUE}_1a")
        assert (await fleet.job("callbacks_1a")).status.state is JobState.WAITING
        assert (await reconciliation(fleet).turn()).woken == 1
        await until(lambda: bool(receiver.requests))
    assert told(receiver).type == "job.failed"


async def test_a_callback_whose_job_lives_is_left_waiting(fleet: Fleet, receiver: HttpReceiver) -> None:
    """Waiting, delayed or prioritized; no turn moves it, nor adds another."""
    await add(fleet, receiver.url)
    await add(fleet, receiver.url, delay_s=3_600)
    await fleet.add_raw(wanting(receiver.url), priority=3)
    await fleet.add_raw({"text": "asks for nothing"})
    done = [await reconciliation(fleet).turn() for _ in range(3)]
    assert [(one.woken, one.adopted) for one in done] == [(0, 1), (0, 0), (0, 0)]
    assert (await fleet.engine.counts("callbacks"))["waiting-children"] == 3


# --- Many copies, many jobs, what was told before.


@pytest.mark.guarantee("death", "nobody, but many reconcilers look at the same time", "delivered once")
async def test_many_copies_settle_each_callback_once(
    fleet: Fleet, receiver: HttpReceiver, ports: dict[type, object]
) -> None:
    """Eight at once over what is left of each sort: one callback for each job."""
    removed, _ = await add(fleet, receiver.url)
    await fleet.redis.delete(f"bull:{QUEUE}:{removed}")
    await fleet.redis.lrem(f"bull:{QUEUE}:wait", 1, removed)
    ended = await fleet.add_raw(wanting(receiver.url))
    await _end(fleet, ended)
    live = await fleet.add_raw(wanting(receiver.url))
    await asyncio.gather(*(reconciliation(fleet).turn() for _ in range(8)))
    await deliver(fleet, receiver, ports, 3)
    assert {event.data.id for event in all_told(receiver)} == {removed, ended, live}


async def test_one_copy_at_a_time_has_the_turn(fleet: Fleet) -> None:
    """For as long as it claims; then whoever comes first."""
    copies = [reconciliation(fleet) for _ in range(3)]
    assert [await copy.claim(for_s=0.2) for copy in copies] == [True, False, False]
    await until(lambda: copies[1].claim(for_s=60))
    assert not await copies[0].claim(for_s=60)


async def test_no_place_is_too_long(fleet: Fleet, receiver: HttpReceiver) -> None:
    """Page after page, and over more turns than one when a place has more than a turn may look at."""
    silent, asking = {"text": "a"}, wanting(receiver.url)
    jobs = [{"name": "run", "data": asking if number % 100 == 0 else silent} for number in range(1_300)]
    await Queue(QUEUE, {"connection": fleet.redis}).addBulk(jobs)
    assert (await reconciliation(fleet).turn()).adopted == 13
    assert (await reconciliation(fleet).turn()).adopted == 0


async def test_what_ended_in_one_moment_is_looked_at_whole(fleet: Fleet, receiver: HttpReceiver) -> None:
    """More jobs than a page has end at the same millisecond."""
    job_ids = [await fleet.add_raw(wanting(receiver.url) if number % 100 == 0 else {}) for number in range(1_300)]
    now_ms = round(time.time() * 1000)
    for job_id in job_ids:
        await _end(fleet, job_id, now_ms)
    assert (await reconciliation(fleet).turn()).adopted == 13
    assert (await fleet.engine.counts("callbacks"))["waiting"] == 13


async def test_an_end_that_is_entered_late_is_looked_at(fleet: Fleet, receiver: HttpReceiver) -> None:
    """The clock of the worker that ended it is some seconds behind that of one whose job was seen already."""
    now_ms = time.time() * 1000
    await _end(fleet, await fleet.add_raw(wanting(receiver.url)), now_ms)
    assert (await reconciliation(fleet).turn()).adopted == 1
    await _end(fleet, await fleet.add_raw(wanting(receiver.url)), now_ms - 5_000)
    assert (await reconciliation(fleet).turn()).adopted == 1


async def test_a_walk_goes_on_where_it_stopped(fleet: Fleet) -> None:
    """A turn's limit is no end: the next begins behind it, and after the last page comes the first."""
    steps = walk.Walk(fleet.redis, prefix="bull", name="reconciliation", forget_s=60)
    await Queue(QUEUE, {"connection": fleet.redis}).addBulk([{"name": "run", "data": {}}] * (2 * walk.PAGE + 40))
    looking = steps.placed(QUEUE, "wait")
    first = await anext(looking)
    await looking.aclose()
    again = [page async for page in steps.placed(QUEUE, "wait")]
    assert again[0] == first  # a turn that died is begun again
    assert [len(page) for page in again] == [walk.PAGE, walk.PAGE, 40]
    await fleet.redis.hset("corral:reconciliation:bull", f"bull:{QUEUE}:wait", str(2 * walk.PAGE))
    assert [page async for page in steps.placed(QUEUE, "wait")] == [again[2]]
    assert [page async for page in steps.placed(QUEUE, "wait")] == again


async def test_a_turn_has_a_limit(fleet: Fleet, receiver: HttpReceiver) -> None:
    """Of a place it looks at 10,000 jobs; the next one goes on with those behind."""
    await fleet.add_raw(wanting(receiver.url))
    await fleet.redis.lpush(f"bull:{QUEUE}:wait", *(f"gone-{number}" for number in range(10_000)))
    assert [(await reconciliation(fleet).turn()).adopted for _ in range(2)] == [0, 1]


async def test_a_callback_that_was_told_and_forgotten_is_not_told_again(
    fleet: Fleet, receiver: HttpReceiver, ports: dict[type, object]
) -> None:
    """Ended callbacks are kept by number: one that is missing among older ones was not lost."""
    first, callback = await add(fleet, receiver.url)
    async with fleet.worker(entry(succeed), CALLBACKS, ports=ports):
        await fleet.ended(callback)
        for _ in range(2):
            await fleet.ended((await add(fleet, receiver.url))[1])
    await Queue("callbacks", {"connection": fleet.redis}).remove(callback, {"removeChildren": False})
    assert (await reconciliation(fleet, keep=Keep(3600, 2)).turn()).adopted == 0
    await fleet.redis.delete("corral:reconciliation:bull")
    assert (await reconciliation(fleet, keep=Keep(3600, 3)).turn()).adopted == 1
    await deliver(fleet, receiver, ports, 4)
    assert [event.data.id for event in all_told(receiver)].count(first) == 2


async def test_a_job_that_nobody_can_read_stops_no_turn(fleet: Fleet, receiver: HttpReceiver) -> None:
    """What is behind it is looked at."""
    await fleet.add_raw(wanting(receiver.url))
    broken = await fleet.add_raw(wanting(receiver.url))
    key = f"bull:{QUEUE}:{broken.removeprefix(f'{QUEUE}_')}"
    await fleet.redis.hset(key, "data", '{"_corral": {"callback": ')
    assert (await reconciliation(fleet).turn()).adopted == 1


async def test_the_callback_of_a_job_that_is_gone_by_then_is_due(
    fleet: Fleet, receiver: HttpReceiver, ports: dict[type, object]
) -> None:
    """It was removed between the look and the adoption."""
    job_id = await fleet.add_raw(wanting(receiver.url))
    looked = reconciliation(fleet)
    (one,) = await looked._untold(QUEUE, [job_id.removeprefix(f"{QUEUE}_")])
    await Queue(QUEUE, {"connection": fleet.redis}).remove(one.job.id)
    await looked._adoption.adopt(QUEUE, one.job)
    await deliver(fleet, receiver, ports)
    assert told(receiver).type == "job.cancelled"


async def _end(fleet: Fleet, job_id: str, at_ms: float | None = None) -> None:
    """End a waiting job as a worker in Node does, who knows nothing of callbacks."""
    engine_id = job_id.removeprefix(f"{QUEUE}_")
    ended_ms = str(round(at_ms or time.time() * 1000))
    pipe = fleet.redis.pipeline()
    pipe.lrem(f"bull:{QUEUE}:wait", 1, engine_id)
    pipe.hset(f"bull:{QUEUE}:{engine_id}", mapping={"finishedOn": ended_ms, "returnvalue": json.dumps({"text": ""})})
    pipe.zadd(f"bull:{QUEUE}:completed", {engine_id: float(ended_ms)})
    await pipe.execute()
