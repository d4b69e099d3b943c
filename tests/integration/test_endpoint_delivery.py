"""Callbacks to registered endpoints: where they go, who they are signed by, and what is not sent at all."""

from collections.abc import AsyncIterator

import pytest
from pydantic import HttpUrl
from standardwebhooks.webhooks import Webhook

from producers.callbacks.endpoints import Endpoints
from schemas.endpoint import EndpointChange, EndpointRequest, NewEndpoint
from schemas.envelope import Callback, EventType
from schemas.job_status import JobState
from schemas.jobs.callbacks import PING, PingEndpoint
from tests.support.callback import CALLBACKS, PINGS, SECRET, tell
from tests.support.callback_sender import callback_sender, endpoints_of, job_reader
from tests.support.fleet import Fleet, entry, succeed
from tests.support.http_receiver import Answer, HttpReceiver
from tests.support.until import until
from worker.ports import CallbackSender, JobReader

ACME = "acme"


@pytest.fixture
def endpoints(fleet: Fleet) -> Endpoints:
    """Every tenant's endpoints."""
    return endpoints_of(fleet.redis)


@pytest.fixture
async def ports(fleet: Fleet) -> AsyncIterator[dict[type, object]]:
    """What the handlers need, as the product opens it."""
    async with callback_sender(fleet, SECRET) as sender:
        yield {CallbackSender: sender, JobReader: job_reader(fleet)}


async def registered(endpoints: Endpoints, receiver: HttpReceiver, *events: EventType) -> NewEndpoint:
    """Register the receiver."""
    request = EndpointRequest(url=HttpUrl(receiver.url), **({"events": events} if events else {}))
    return await endpoints.add(ACME, request)


async def test_an_endpoint_is_told_under_its_own_secret(
    fleet: Fleet, endpoints: Endpoints, receiver: HttpReceiver, ports: dict[type, object]
) -> None:
    """And under both, while it is being rotated."""
    new = await registered(endpoints, receiver)
    rotated = await endpoints.rotate(ACME, new.id, 3600)
    callback_id = await tell(fleet, Callback(endpoint=new.id))
    async with fleet.worker(entry(succeed), CALLBACKS, ports=ports):
        assert (await fleet.ended(callback_id)).status.state is JobState.COMPLETED
    (request,) = receiver.requests
    for secret in (new.secret, rotated.secret):
        Webhook(str(secret)).verify(request.body, request.headers)
    assert len(request.headers["webhook-signature"].split(" ")) == 2


async def test_a_callback_goes_where_the_endpoint_is_now(
    fleet: Fleet, endpoints: Endpoints, receiver: HttpReceiver, ports: dict[type, object]
) -> None:
    """Its owner has moved it while the callback was waiting."""
    new = await registered(endpoints, receiver)
    receiver.answers = [Answer(500)]
    callback_id = await tell(fleet, Callback(endpoint=new.id))
    await endpoints.change(ACME, new.id, EndpointChange(url=HttpUrl(f"{receiver.url}/moved")))
    async with fleet.worker(entry(succeed), CALLBACKS, ports=ports):
        await fleet.ended(callback_id)
    assert {request.path for request in receiver.requests} == {"/callbacks/moved"}


async def test_an_endpoint_hears_only_what_it_wants(
    fleet: Fleet, endpoints: Endpoints, receiver: HttpReceiver, ports: dict[type, object]
) -> None:
    """An event that it has not asked for ends without a word."""
    new = await registered(endpoints, receiver, "job.failed")
    callback_id = await tell(fleet, Callback(endpoint=new.id))
    async with fleet.worker(entry(succeed), CALLBACKS, ports=ports):
        job = await fleet.ended(callback_id)
    assert (job.status.state, job.result["sent"], receiver.requests) == (JobState.COMPLETED, False, [])


async def test_nothing_is_sent_for_an_endpoint_of_another_tenant(
    fleet: Fleet, endpoints: Endpoints, receiver: HttpReceiver, ports: dict[type, object]
) -> None:
    """Whoever adds jobs past the API may name any id."""
    new = await registered(endpoints, receiver)
    callback_id = await tell(fleet, Callback(endpoint=new.id), tenant="other")
    async with fleet.worker(entry(succeed), CALLBACKS, ports=ports):
        job = await fleet.ended(callback_id)
    assert job.status.error is not None
    assert (job.status.error.code, job.status.attempts, receiver.requests) == ("callback_refused", 1, [])


async def test_a_callback_to_a_deleted_endpoint_fails_for_good(
    fleet: Fleet, endpoints: Endpoints, receiver: HttpReceiver, ports: dict[type, object]
) -> None:
    """Nobody is there to hear it."""
    new = await registered(endpoints, receiver)
    callback_id = await tell(fleet, Callback(endpoint=new.id))
    await endpoints.records.remove(ACME, new.id)
    async with fleet.worker(entry(succeed), CALLBACKS, ports=ports):
        job = await fleet.ended(callback_id)
    assert job.status.error is not None
    assert "there is no endpoint" in job.status.error.message


@pytest.mark.parametrize("registered_before", [False, True])
async def test_an_address_that_is_not_the_tenants_is_not_called(
    fleet: Fleet,
    endpoints: Endpoints,
    receiver: HttpReceiver,
    registered_before: bool,  # noqa: FBT001 - a case
) -> None:
    """Also when nobody asked as the job was added, or the list has become shorter since."""
    plain = Callback(url=HttpUrl(receiver.url))
    callback = Callback(endpoint=(await registered(endpoints, receiver)).id) if registered_before else plain
    callback_id = await tell(fleet, callback)
    allow = {ACME: ["https://hooks.example.com"]}
    async with callback_sender(fleet, SECRET, callback_allow=allow) as sender:
        ports: dict[type, object] = {
            CallbackSender: sender,
            JobReader: job_reader(fleet),
        }
        async with fleet.worker(entry(succeed), CALLBACKS, ports=ports):
            job = await fleet.ended(callback_id)
    assert job.status.error is not None
    assert (job.status.error.code, receiver.requests) == ("callback_refused", [])


async def test_a_worker_without_the_key_loses_nothing(
    fleet: Fleet, endpoints: Endpoints, receiver: HttpReceiver, ports: dict[type, object]
) -> None:
    """It tries again later; another worker, or this one with its key, delivers."""
    new = await registered(endpoints, receiver)
    callback_id = await tell(fleet, Callback(endpoint=new.id))
    async with callback_sender(fleet, SECRET, sealing_keys=None) as keyless:
        without: dict[type, object] = {
            CallbackSender: keyless,
            JobReader: job_reader(fleet),
        }
        async with fleet.worker(entry(succeed), CALLBACKS, ports=without):
            await until(lambda: attempted(fleet, callback_id))
    async with fleet.worker(CALLBACKS, ports=ports):
        assert (await fleet.ended(callback_id)).status.state is JobState.COMPLETED
    assert len(receiver.requests) == 1


async def attempted(fleet: Fleet, job_id: str) -> bool:
    """Tell whether an attempt at a job has ended."""
    return (await fleet.job(job_id)).status.error is not None


async def test_a_ping_arrives(
    fleet: Fleet, endpoints: Endpoints, receiver: HttpReceiver, ports: dict[type, object]
) -> None:
    """Once, signed, as an event of its own; one that is not taken is not tried again."""
    new = await registered(endpoints, receiver)
    receiver.answers = [Answer(204), Answer(500)]
    ended = []
    async with fleet.worker(PINGS, ports=ports):
        for _ in range(2):
            ping_id = await fleet.add(PING, PingEndpoint(endpoint=new.id), tenant=ACME)
            ended.append((await fleet.ended(ping_id)).status)
    assert [one.state for one in ended] == [JobState.COMPLETED, JobState.FAILED]
    assert [request.headers["webhook-id"] for request in receiver.requests] == [one.id for one in ended]
    event = Webhook(str(new.secret)).verify(receiver.requests[0].body, receiver.requests[0].headers)
    assert (event["type"], event["data"]) == ("endpoint.ping", {"endpoint": new.id})
