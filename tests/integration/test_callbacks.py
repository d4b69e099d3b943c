"""Callbacks: the parent of a flow is told whatever becomes of its child, and says so to the receiver, signed."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from bullmq import Queue
from standardwebhooks.webhooks import Webhook

from corral.stack import new_secret
from producers.callbacks.signing_key import SigningKey
from producers.engine.jobs import NewJob
from schemas import job_id as ids
from schemas.callback_event import CallbackEvent
from schemas.envelope import Callback, Envelope, EventType
from schemas.errors import Permanent
from schemas.job_spec import RetrySchedule
from schemas.job_status import JobState
from schemas.jobs.callbacks import DELIVER, DeliverCallback
from tests.support.callback_sender import callback_sender, job_reader
from tests.support.fleet import QUEUE, Fleet, Seen, Trial, entry, raising, spec, succeed
from tests.support.http_receiver import Answer, HttpReceiver
from tests.support.node import FOLDER, needs_node
from tests.support.until import until
from worker.handlers.callbacks.deliver import PORTS
from worker.handlers.callbacks.deliver import handle as deliver
from worker.ports import CallbackSender, JobReader
from worker.registry import Entry

SECRET = new_secret()
PRIVATE = SigningKey.new("ed25519")
# As it ships, only sooner: ten attempts.
SOON = replace(DELIVER, retry=RetrySchedule((0.02,) * 9))
CALLBACKS = Entry(SOON, deliver, frozenset(PORTS))


@pytest.fixture
async def ports(fleet: Fleet) -> AsyncIterator[dict[type, object]]:
    """What the handler needs, as the product opens it."""
    async with callback_sender(fleet, f"{SECRET} {PRIVATE.text}") as sender:
        yield {CallbackSender: sender, JobReader: job_reader(fleet)}


async def add(fleet: Fleet, receiver: HttpReceiver, *events: EventType, **payload: object) -> tuple[str, str]:
    """Add a job with a callback, as the API does; give the ids of both."""
    job_id = ids.new(QUEUE)
    callback_id = f"callbacks_{job_id.partition('_')[2]}"
    callback = Callback.model_validate({"url": receiver.url} | ({"events": events} if events else {}))
    notice = DeliverCallback(job_id=job_id, kind=spec().kind, callback=callback)
    parent = NewJob(callback_id, SOON, Envelope().wrap(notice))
    await fleet.engine.add(NewJob(job_id, spec(), Envelope().wrap(Trial.model_validate(payload)), parent))
    return job_id, callback_id


def told(receiver: HttpReceiver) -> CallbackEvent:
    """Give the one event that came, once its signature has been verified."""
    (request,) = receiver.requests
    return CallbackEvent.model_validate(Webhook(SECRET).verify(request.body, request.headers))


@pytest.mark.guarantee("entry", "the API adds it", "delivered")
async def test_a_completed_job_is_told_with_its_result(
    fleet: Fleet, receiver: HttpReceiver, ports: dict[type, object]
) -> None:
    """The event names the job and holds what the API gives as its result."""
    job_id, callback_id = await add(fleet, receiver, text="a")
    async with fleet.worker(entry(succeed), CALLBACKS, ports=ports):
        assert (await fleet.ended(callback_id)).status.state is JobState.COMPLETED
    event = told(receiver)
    assert (event.type, event.data.id, event.data.kind) == ("job.completed", job_id, "trials.run")
    assert event.data.result == (await fleet.job(job_id)).result
    assert receiver.requests[0].headers["webhook-id"] == callback_id


async def test_a_job_that_failed_for_good_is_told_with_its_error(
    fleet: Fleet, receiver: HttpReceiver, ports: dict[type, object]
) -> None:
    """A failure does not keep the parent waiting (fact 6)."""
    await add(fleet, receiver)
    async with fleet.worker(entry(raising(Permanent("it is broken"))), CALLBACKS, ports=ports):
        await until(lambda: bool(receiver.requests))
    event = told(receiver)
    assert event.type == "job.failed"
    assert str(event.data.error) == "permanent: it is broken"


async def test_a_cancelled_job_is_told(fleet: Fleet, receiver: HttpReceiver, ports: dict[type, object]) -> None:
    """Somebody else may have asked for its end."""
    job_id, callback_id = await add(fleet, receiver)
    await fleet.engine.request_cancel(job_id)
    async with fleet.worker(entry(succeed), CALLBACKS, ports=ports):
        await fleet.ended(callback_id)
    assert told(receiver).type == "job.cancelled"


@pytest.mark.parametrize("deed", ["remove", "drain", "obliterate"])
async def test_a_job_that_an_operator_removed_is_told(
    fleet: Fleet, receiver: HttpReceiver, ports: dict[type, object], deed: str
) -> None:
    """Whatever is done to the child's queue, whoever waits for the job hears of it (fact 6)."""
    job_id, callback_id = await add(fleet, receiver)
    queue = Queue(QUEUE, {"connection": fleet.redis})
    match deed:
        case "remove":
            await queue.remove(job_id)
        case "drain":
            await queue.drain()
        case _:
            await queue.obliterate()
    async with fleet.worker(entry(succeed), CALLBACKS, ports=ports):
        await fleet.ended(callback_id)
    event = told(receiver)
    assert event.type == "job.cancelled"
    assert event.data.error is not None
    assert event.data.error.code == "job_removed"


async def test_only_the_events_asked_for_are_sent(
    fleet: Fleet, receiver: HttpReceiver, ports: dict[type, object]
) -> None:
    """Another outcome ends the callback without a word to the receiver."""
    _, callback_id = await add(fleet, receiver, "job.failed")
    async with fleet.worker(entry(succeed), CALLBACKS, ports=ports):
        job = await fleet.ended(callback_id)
    assert job.result["sent"] is False
    assert receiver.requests == []


@pytest.mark.guarantee("receiver", "answers 500, 503, 429, 404, and then 204", "delivered, same id")
async def test_a_callback_that_was_not_taken_is_sent_again(
    fleet: Fleet, receiver: HttpReceiver, ports: dict[type, object]
) -> None:
    """With the same id and a signature of its own, until the receiver answers 2xx."""
    receiver.answers = [Answer(500), Answer(503), Answer(429), Answer(404), Answer(204)]
    _, callback_id = await add(fleet, receiver)
    async with fleet.worker(entry(succeed), CALLBACKS, ports=ports):
        assert (await fleet.ended(callback_id)).status.state is JobState.COMPLETED
    assert len(receiver.requests) == 5
    assert {request.headers["webhook-id"] for request in receiver.requests} == {callback_id}
    for request in receiver.requests:
        Webhook(SECRET).verify(request.body, request.headers)


async def test_each_try_has_a_time_of_its_own(fleet: Fleet, receiver: HttpReceiver, ports: dict[type, object]) -> None:
    """Receivers refuse what is older than five minutes, and a retry may come days later."""
    receiver.answers = [Answer(503, headers=(("retry-after", "1"),))]
    _, callback_id = await add(fleet, receiver)
    async with fleet.worker(entry(succeed), CALLBACKS, ports=ports):
        await fleet.ended(callback_id)
    first, second = (int(request.headers["webhook-timestamp"]) for request in receiver.requests)
    assert second > first


@pytest.mark.guarantee("receiver", "answers 410", "parked at once")
async def test_a_receiver_that_is_gone_is_left_alone(
    fleet: Fleet, receiver: HttpReceiver, ports: dict[type, object]
) -> None:
    """410 means no more: the callback is dead-lettered at once."""
    receiver.answers = [Answer(410)]
    _, callback_id = await add(fleet, receiver)
    async with fleet.worker(entry(succeed), CALLBACKS, ports=ports):
        job = await fleet.ended(callback_id)
    assert (job.status.state, job.status.attempts) == (JobState.FAILED, 1)
    assert job.status.error is not None
    assert job.status.error.code == "callback_refused"


async def test_a_redirect_is_not_followed(fleet: Fleet, receiver: HttpReceiver, ports: dict[type, object]) -> None:
    """It counts as a refusal that time may heal; nothing is sent to where it points."""
    elsewhere = receiver.url.replace("/callbacks", "/elsewhere")
    receiver.answers = [Answer(307, headers=(("location", elsewhere),)), Answer(204)]
    _, callback_id = await add(fleet, receiver)
    async with fleet.worker(entry(succeed), CALLBACKS, ports=ports):
        await fleet.ended(callback_id)
    assert [request.path for request in receiver.requests] == ["/callbacks", "/callbacks"]


async def test_a_huge_answer_is_not_read(fleet: Fleet, receiver: HttpReceiver, ports: dict[type, object]) -> None:
    """Its status is all that counts; of a gigabyte at most what the sockets hold is sent."""
    receiver.answers = [Answer(200, size_bytes=1 << 30)]
    _, callback_id = await add(fleet, receiver)
    async with fleet.worker(entry(succeed), CALLBACKS, ports=ports):
        assert (await fleet.ended(callback_id)).status.attempts == 1
    assert receiver.sent_bytes < 64 << 20


@pytest.mark.guarantee("receiver", "takes it and answers too late", "sent again, same id")
async def test_a_receiver_that_hangs_costs_one_attempt(
    fleet: Fleet, receiver: HttpReceiver, ports: dict[type, object]
) -> None:
    """The next one finds it well again."""
    receiver.answers = [Answer(hangs=True), Answer(204)]
    async with callback_sender(fleet, SECRET, timeout_s=0.3) as sender:
        _, callback_id = await add(fleet, receiver)
        async with fleet.worker(entry(succeed), CALLBACKS, ports=ports | {CallbackSender: sender}):
            assert (await fleet.ended(callback_id)).status.attempts == 2


async def test_a_large_result_is_left_out_and_linked(
    fleet: Fleet, receiver: HttpReceiver, ports: dict[type, object]
) -> None:
    """The body stays below 20 kB; the event says where the result is."""
    job_id, _ = await add(fleet, receiver, text="é" * 10_000)
    async with fleet.worker(entry(Seen()), CALLBACKS, ports=ports):
        await until(lambda: bool(receiver.requests))
    assert len(receiver.requests[0].body) < 20_000
    event = told(receiver)
    assert event.data.result is None
    assert event.data.links == {"result": f"/v1/jobs/{job_id}/result"}


async def test_an_endless_reason_is_cut(fleet: Fleet, receiver: HttpReceiver, ports: dict[type, object]) -> None:
    """A Node worker may write any reason; the body stays below 20 kB all the same."""
    await add(fleet, receiver)
    async with fleet.worker(entry(raising(Permanent("é" * 20_000))), CALLBACKS, ports=ports):
        await until(lambda: bool(receiver.requests))
    assert len(receiver.requests[0].body) < 20_000
    assert told(receiver).type == "job.failed"


@needs_node
@pytest.mark.parametrize("verifier", [{"secret": SECRET}, {"public": PRIVATE.public}], ids=["v1", "v1a"])
async def test_node_verifies_the_signature(
    fleet: Fleet, receiver: HttpReceiver, ports: dict[type, object], verifier: dict[str, str]
) -> None:
    """The npm package `standardwebhooks`, and Node's own ed25519: refused when a byte was changed."""
    await add(fleet, receiver, text="é")
    async with fleet.worker(entry(succeed), CALLBACKS, ports=ports):
        await until(lambda: bool(receiver.requests))
    (request,) = receiver.requests
    for body, verdict in ((request.body, "verified"), (request.body.replace(b"trials", b"trails"), "refused")):
        given = json.dumps({**verifier, "body": body.decode(), "headers": request.headers})
        node = await asyncio.create_subprocess_exec(
            "node", "verify_webhook.mjs", cwd=FOLDER, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        said, _ = await node.communicate(given.encode())
        assert said.decode().strip() == verdict
