"""Jobs that were added without the API come to the callback that they ask for, however they entered and end."""

import asyncio
import json

import pytest

from producers.engine.notice import plain_callback_id
from schemas.errors import Permanent
from schemas.job_status import JobState
from tests.support.callback import CALLBACKS, WAYS, Way, all_told, enter, reconciliation, sending, told, wanting
from tests.support.fleet import QUEUE, Fleet, Seen, Verdict, entry, hang, raising, spec, succeed
from tests.support.http_receiver import Answer, HttpReceiver
from tests.support.node import interop, needs_node
from tests.support.until import until
from worker.ports import JobContext


@needs_node
@pytest.mark.guarantee("entry", "Node adds it plainly: `queue.add`", "delivered")
async def test_a_job_of_a_node_program_is_told(fleet: Fleet, receiver: HttpReceiver, ports: dict[type, object]) -> None:
    """With its result, under an id that follows from its own."""
    added = await interop(
        fleet.url, QUEUE, "add", {"name": "run", "data": wanting(receiver.url, text="a"), "opts": {"attempts": 3}}
    )
    async with fleet.worker(entry(succeed), CALLBACKS, ports=ports):
        await until(lambda: bool(receiver.requests))
    event = told(receiver)
    assert (event.type, event.data.id, event.data.kind) == ("job.completed", f"{QUEUE}_{added['id']}", "trials.run")
    assert event.data.result["text"] == "A"
    assert receiver.requests[0].headers["webhook-id"] == plain_callback_id(f"{QUEUE}_{added['id']}")


@needs_node
@pytest.mark.guarantee("entry", "Node adds many at once: `queue.addBulk`", "delivered for each, each under its own id")
async def test_each_job_of_a_bulk_is_told(fleet: Fleet, receiver: HttpReceiver, ports: dict[type, object]) -> None:
    """None twice, none left out."""
    jobs = [{"name": "run", "data": wanting(receiver.url, number=number)} for number in range(20)]
    added = await interop(fleet.url, QUEUE, "add_bulk", jobs)
    async with fleet.worker(entry(succeed), CALLBACKS, ports=ports):
        await until(lambda: len(receiver.requests) == len(jobs))
    assert sorted(event.data.id for event in all_told(receiver)) == sorted(f"{QUEUE}_{one}" for one in added["ids"])
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == len(jobs)


@needs_node
@pytest.mark.guarantee("entry", "Node has it made by a schedule of its own: `queue.upsertJobScheduler`", "delivered")
async def test_a_job_of_nodes_schedule_is_told(fleet: Fleet, receiver: HttpReceiver, ports: dict[type, object]) -> None:
    """Its id has colons, which no id of ours has."""
    template = {"name": "run", "data": wanting(receiver.url, text="a"), "opts": {"removeOnComplete": True}}
    await interop(fleet.url, QUEUE, "schedule", {"repeat": {"every": 3_600_000}, "template": template})
    async with fleet.worker(entry(succeed), CALLBACKS, ports=ports):
        await until(lambda: bool(receiver.requests))
    event = told(receiver)
    assert event.type == "job.completed"
    assert event.data.id.startswith(f"{QUEUE}_repeat:tick:")
    assert event.data.result["text"] == "A"


@needs_node
@pytest.mark.guarantee("entry", "parent and children of a flow that Node adds", "delivered for each, the flow as ever")
async def test_every_job_of_a_foreign_flow_is_told(
    fleet: Fleet, receiver: HttpReceiver, ports: dict[type, object]
) -> None:
    """A child has its one parent, which still gets the child's value; its callback waits beside the flow."""
    child = {"name": "run", "queueName": QUEUE, "opts": {"removeOnComplete": True}}
    flow = {
        "name": "run",
        "queueName": QUEUE,
        "data": wanting(receiver.url, text="p"),
        "children": [{**child, "data": wanting(receiver.url, text="c")}, {**child, "data": {"text": "silent"}}],
    }
    added = await interop(fleet.url, QUEUE, "flow", flow)
    async with fleet.worker(entry(succeed), CALLBACKS, ports=ports):
        await fleet.ended(f"{QUEUE}_{added['id']}")
        await reconciliation(fleet).turn()
        await until(lambda: len(receiver.requests) == 2)
    events = {event.data.id: event for event in all_told(receiver)}
    assert events[f"{QUEUE}_{added['id']}"].data.result["text"] == "P"
    assert events[f"{QUEUE}_{added['children'][0]}"].data.result["text"] == "C"
    values = await interop(fleet.url, QUEUE, "children_values", added["id"])
    assert sorted(one["text"] for one in values.values()) == ["C", "SILENT"]


@pytest.mark.parametrize("rule", [True, 0, 1, {"count": 0}])
async def test_a_job_that_was_to_vanish_is_kept_for_its_callback(
    fleet: Fleet, receiver: HttpReceiver, ports: dict[type, object], rule: object
) -> None:
    """Whoever added it wants little of it to stay; but each try of the callback tells of it, the same each time."""
    receiver.answers = [Answer(500)]
    job_ids = [
        await fleet.add_raw(wanting(receiver.url, text="a"), removeOnComplete=rule, removeOnFail=rule) for _ in range(2)
    ]
    async with fleet.worker(entry(succeed), CALLBACKS, ports=ports):
        await until(lambda: len(receiver.requests) == 3)
    bodies = {request.body for request in receiver.requests}
    assert len(bodies) == 2
    assert {event.data.id for event in all_told(receiver)} == set(job_ids)
    assert all(event.data.result == {"text": "A", "ratio": 1.0} for event in all_told(receiver))
    assert all([(await fleet.job(job_id)).status.finished_at for job_id in job_ids])


async def test_a_job_that_is_kept_for_ever_stays_so(
    fleet: Fleet, receiver: HttpReceiver, ports: dict[type, object]
) -> None:
    """As Node adds them: without a rule, or with the word that it stays."""
    job_id = await fleet.add_raw(wanting(receiver.url), removeOnComplete=False)
    async with fleet.worker(entry(succeed), CALLBACKS, ports=ports):
        await fleet.ended(job_id)
    assert json.loads((await fleet.raw(job_id))["opts"])["removeOnComplete"] is False


async def slow(_payload: object, _job: JobContext) -> Verdict:
    """Take longer than the kind allows."""
    await asyncio.Event().wait()
    return Verdict()


ENDS = {
    "completed": (succeed, "job.completed", ""),
    "failed": (raising(Permanent("it is broken")), "job.failed", "permanent"),
    "timed out": (slow, "job.failed", "job_timed_out"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.guarantee("end", "it completes, fails for good, or runs for too long", "delivered with result or error")
async def test_a_job_is_told_however_it_ends(
    fleet: Fleet, receiver: HttpReceiver, ports: dict[type, object], way: Way, end: str
) -> None:
    """The plain one as the one that came by the API."""
    handle, type_, code = ENDS[end]
    job_id = await enter(fleet, way, receiver.url)
    async with fleet.worker(entry(handle, spec(timeout_s=0.2)), CALLBACKS, ports=ports):
        await until(lambda: bool(receiver.requests))
    event = told(receiver)
    assert (event.type, event.data.id) == (type_, job_id)
    assert (event.data.error.code if event.data.error else "") == code


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("runs", [True, False])
@pytest.mark.guarantee("end", "it is cancelled, before it runs or while it does", "delivered, `job.cancelled`")
async def test_a_cancelled_job_is_told(
    fleet: Fleet,
    receiver: HttpReceiver,
    ports: dict[type, object],
    way: Way,
    runs: bool,  # noqa: FBT001 - a case
) -> None:
    """By whoever may."""
    handle = Seen([hang])
    job_id = await enter(fleet, way, receiver.url)
    if not runs:
        await fleet.engine.request_cancel(job_id)
    async with fleet.worker(entry(handle), CALLBACKS, ports=ports):
        if runs:
            await until(lambda: bool(handle.runs))
            await fleet.engine.request_cancel(job_id)
        await until(lambda: bool(receiver.requests))
    assert told(receiver).type == "job.cancelled"
    assert bool(handle.runs) is runs


@pytest.mark.parametrize(
    ("name", "extra", "code"), [("run", {"number": "x"}, "payload_invalid"), ("dance", {}, "unknown_kind")]
)
@pytest.mark.guarantee("end", "nobody can do it: unknown kind, payload that does not fit", "delivered, `job.failed`")
async def test_a_plain_job_that_nobody_can_do_is_told(
    fleet: Fleet,
    receiver: HttpReceiver,
    ports: dict[type, object],
    name: str,
    extra: dict[str, object],
    code: str,
) -> None:
    """Its envelope is read before anything else of it."""
    await fleet.add_raw(wanting(receiver.url, **extra), name=name)
    async with fleet.worker(entry(succeed), CALLBACKS, ports=ports):
        await until(lambda: bool(receiver.requests))
    error = told(receiver).data.error
    assert error is not None
    assert error.code == code


@pytest.mark.parametrize("beside", ["callback", {"callback": {"url": "x"}}, {"callback": None}, 7])
async def test_an_envelope_that_nobody_can_read_harms_nobody(
    fleet: Fleet, receiver: HttpReceiver, ports: dict[type, object], beside: object
) -> None:
    """The job ends as it would; there is nobody to tell."""
    job_id = await fleet.add_raw({"_corral": beside})
    async with fleet.worker(entry(succeed), CALLBACKS, ports=ports):
        await fleet.ended(job_id)
    await reconciliation(fleet).turn()
    assert receiver.requests == []
    assert await fleet.redis.keys("bull:callbacks:*") == []


@pytest.mark.guarantee("receiver", "lies inward, and a plain job names it", "refused; parked")
async def test_a_plain_job_goes_where_others_may(fleet: Fleet, receiver: HttpReceiver) -> None:
    """Its address passes the same checks: one that is not public is refused, and the callback is parked."""
    job_id = await fleet.add_raw(wanting(receiver.url))
    async with (
        sending(fleet, allow_loopback=False) as ports,
        fleet.worker(entry(succeed), CALLBACKS, ports=ports),
    ):
        callback = await fleet.ended(await known(fleet, job_id))
    assert callback.status.state is JobState.FAILED
    assert callback.status.error is not None
    assert callback.status.error.code == "callback_refused"
    assert receiver.requests == []


async def test_a_job_is_adopted_once(fleet: Fleet, receiver: HttpReceiver, ports: dict[type, object]) -> None:
    """However many attempts it takes: it has one callback, which waits for the last."""
    handle = Seen([raising(RuntimeError()), raising(RuntimeError()), succeed])
    await fleet.add_raw(wanting(receiver.url), attempts=3)
    async with fleet.worker(entry(handle), CALLBACKS, ports=ports):
        await until(lambda: ended_once(fleet))
    assert told(receiver).data.attempts == 3


async def ended_once(fleet: Fleet) -> bool:
    """Tell whether one callback has completed and there is no other."""
    counts = await fleet.engine.counts("callbacks")
    return counts["completed"] == sum(counts.values()) == 1


async def known(fleet: Fleet, job_id: str) -> str:
    """Wait until a plain job has its callback, and give that one's id."""
    callback = plain_callback_id(job_id)
    await until(lambda: fleet.engine.read(callback))
    return callback
