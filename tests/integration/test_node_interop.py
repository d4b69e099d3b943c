"""What programs in Node see of Corral's workers and jobs, and that their workers do ours."""

import asyncio
import json
from typing import Any

from pydantic import BaseModel

from producers.enqueue import Enqueue, Order
from schemas.envelope import Callback
from schemas.errors import PayloadInvalid
from schemas.job_status import JobState, Progress
from schemas.jobs.callbacks import DELIVER, DeliverCallback
from tests.support.fleet import QUEUE, Fleet, Seen, Trial, Verdict, entry, raising, spec
from tests.support.node import interop, needs_node
from tests.support.until import until
from worker.ports import JobContext

pytestmark = needs_node


async def report(_payload: Trial, job: JobContext) -> Verdict:
    """Say something of each kind, and end."""
    await job.progress(Progress(done=1, total=2))
    await job.log("half way")
    return Verdict(text="done")


async def test_node_lists_each_of_our_workers_once(fleet: Fleet) -> None:
    """By name, as `Queue.getWorkers` and every dashboard ask; also while they are busy."""
    async with fleet.worker(entry(report)), fleet.worker(entry(report)):
        for _ in range(5):
            await fleet.ended(await fleet.add_raw({}))
        seen = await until(lambda: both(fleet))
        assert [one["rawname"] for one in seen["workers"]] == ["bull:dHJpYWxz:w:test"] * 2
        assert {one["name"] for one in seen["workers"]} == {QUEUE}
    assert (await interop(fleet.url, QUEUE, "workers"))["count"] == 0


async def test_a_worker_is_listed_again_after_its_connections_were_cut(fleet: Fleet) -> None:
    """The name comes back with the connection."""
    async with fleet.worker(entry(report)):
        await fleet.ended(await fleet.add_raw({}))
        await fleet.redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")  # type: ignore[no-untyped-call]
        await fleet.ended(await fleet.add_raw({}))
        await until(lambda: listed(fleet, 1))


async def test_node_sees_who_did_a_job_when_and_what_it_said(fleet: Fleet) -> None:
    """`processedBy`, times, attempts, progress, log, result; also of a job that came with the last one's end."""
    job_ids = [await fleet.add_raw({}) for _ in range(3)]
    async with fleet.worker(entry(report), concurrency=1):
        for job_id in job_ids:
            await fleet.ended(job_id)
    for job_id in job_ids:
        job = await interop(fleet.url, QUEUE, "job", job_id.removeprefix(f"{QUEUE}_"))
        assert job["processedBy"] == "test"
        assert job["timestamp"] <= job["processedOn"] <= job["finishedOn"]
        assert (job["state"], job["attemptsStarted"], job["attemptsMade"]) == ("completed", 1, 1)
        assert job["progress"] == {"done": 1, "total": 2, "unit": "steps"}
        assert job["logs"] == ["half way"]
        assert job["returnvalue"]["text"] == "done"


async def test_node_sees_a_failure_as_one_public_line(fleet: Fleet) -> None:
    """The code and the remedy; no trace of ours, and none that says `NoneType: None`."""
    job_id = await fleet.add(spec(), Trial())
    async with fleet.worker(entry(raising(PayloadInvalid("mend the field")))):
        await fleet.ended(job_id)
    job = await interop(fleet.url, QUEUE, "job", job_id)
    assert job["failedReason"] == "payload_invalid: mend the field"
    assert job["stacktrace"] in ([], "[]", "null", None)
    assert (job["state"], job["attemptsMade"]) == ("failed", 1)


async def test_nodes_events_tell_of_a_job_that_we_do(fleet: Fleet) -> None:
    """From its adding to its result, in order."""
    async with fleet.worker(entry(report)):
        seen = (await interop(fleet.url, QUEUE, "watch", {"name": "run", "data": {}}))["seen"]
    names = [event["name"] for event in seen]
    assert [name for name in names if name != "added"] == ["waiting", "active", "progress", "completed"]
    assert seen[-1]["returnvalue"]["text"] == "done"


async def test_a_parent_that_node_added_fails_with_its_child_in_words(fleet: Fleet) -> None:
    """A flow of Node's with `failParentOnFailure`: the parent says why, and has no trace of nothing."""
    handle = Seen([raising(PayloadInvalid("broken"))])
    parent = await flow_of_node(fleet)
    async with fleet.worker(entry(handle)):
        await fleet.ended(parent)
    job = await interop(fleet.url, QUEUE, "job", parent.removeprefix(f"{QUEUE}_"))
    assert job["failedReason"].startswith("child_failed: ")
    assert "NoneType" not in json.dumps(job["stacktrace"])
    assert len(handle.runs) == 1


async def test_a_node_worker_does_a_job_of_ours_and_the_callback_comes(fleet: Fleet) -> None:
    """It reads the payload as it is, with one key more; the flow that waits for the job is the engine's."""
    told: list[DeliverCallback] = []

    async def deliver(payload: DeliverCallback, _job: JobContext) -> BaseModel:
        told.append(payload)
        return Verdict()

    hears = Callback.model_validate({"url": "https://example.com/hook"})
    enqueue = Enqueue(fleet.engine, idempotency_s=60)
    accepted = await enqueue(Order(spec(), Trial(text="hello"), "default", hears))
    async with fleet.worker(entry(deliver, DELIVER)):
        async with asyncio.timeout(20):
            seen = await interop(fleet.url, QUEUE, "work")
        await until(lambda: bool(told))
    assert seen == {"id": accepted.job_id, "result": {"by": "node", "text": "hello", "keys": ["text", "_corral"]}}
    assert (told[0].job_id, told[0].callback) == (accepted.job_id, hears)
    job = await fleet.job(accepted.job_id)
    assert (job.status.state, job.result["by"]) == (JobState.COMPLETED, "node")


async def flow_of_node(fleet: Fleet) -> str:
    """Add a parent and a child in one queue, as Node's FlowProducer does; give the parent's public id."""
    from bullmq import FlowProducer  # noqa: PLC0415 - the one test that needs it

    child = {"name": "run", "queueName": QUEUE, "data": {}, "opts": {"failParentOnFailure": True}}
    tree = await FlowProducer({"connection": fleet.redis}).add({**child, "opts": {}, "children": [child]})
    return f"{QUEUE}_{tree['job'].id}"


async def both(fleet: Fleet) -> dict[str, Any] | None:
    """Give what Node sees once it sees two workers."""
    return await listed(fleet, 2)


async def listed(fleet: Fleet, count: int) -> dict[str, Any] | None:
    """Give what Node sees once it sees so many workers."""
    seen = await interop(fleet.url, QUEUE, "workers")
    return seen if seen["count"] == count else None
