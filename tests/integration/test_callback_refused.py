"""Callbacks that are refused before anything is sent: their owner sees them, and why."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import HttpUrl

from producers.callbacks.endpoints import Endpoints
from producers.callbacks.history import History
from schemas.callback_attempt import CallbackFilter, CallbackRecord
from schemas.endpoint import EndpointRequest
from schemas.envelope import Callback
from schemas.errors import CallbackRefused
from tests.support.callback import CALLBACKS, SECRET, tell
from tests.support.callback_sender import callback_sender, desk_of, endpoints_of, job_reader
from tests.support.fleet import Fleet, entry, succeed
from tests.support.http_receiver import HttpReceiver
from tests.support.until import until
from worker.adapters.endpoint_callback_sender import EndpointCallbackSender
from worker.ports import CallbackSender, JobReader, Notice

ACME = "acme"


@pytest.fixture
def history(fleet: Fleet) -> History:
    """What is kept of callbacks."""
    return desk_of(fleet.redis).history


@pytest.fixture
async def endpoints(fleet: Fleet) -> Endpoints:
    """Every tenant's endpoints."""
    return endpoints_of(fleet.redis)


@pytest.fixture
async def strict(fleet: Fleet) -> AsyncIterator[EndpointCallbackSender]:
    """A sender whose tenant may call one address, which is not the receiver's."""
    async with callback_sender(fleet, SECRET, callback_allow={ACME: ["https://hooks.example.com"]}) as sender:
        yield sender


async def found(history: History, callback_id: str) -> CallbackRecord:
    """Give what is kept, which the list has as well."""
    page = await history.page(ACME, CallbackFilter())
    assert [one.id for one in page.callbacks] == [callback_id]
    return await history.get(ACME, callback_id)


@pytest.mark.parametrize("registered", [False, True])
async def test_an_address_that_is_not_the_tenants_is_shown_as_refused(
    fleet: Fleet,
    endpoints: Endpoints,
    history: History,
    strict: EndpointCallbackSender,
    receiver: HttpReceiver,
    registered: bool,  # noqa: FBT001 - a case
) -> None:
    """With the address and the reason, as an attempt; under the endpoint or the origin that is meant."""
    callback = Callback(url=HttpUrl(receiver.url))
    if registered:
        new = await endpoints.add(ACME, EndpointRequest(url=HttpUrl(receiver.url)))
        callback = Callback(endpoint=new.id)
    callback_id = await tell(fleet, callback)
    async with fleet.worker(entry(succeed), CALLBACKS, ports={CallbackSender: strict, JobReader: job_reader(fleet)}):
        await fleet.ended(callback_id)
    kept = await found(history, callback_id)
    assert (kept.state, kept.attempts, kept.url, kept.status) == ("failed", 1, receiver.url, None)
    assert kept.endpoint.startswith("ep_" if registered else "origin_")
    (tried,) = kept.tries
    assert tried.error is not None
    assert tried.error.code == "callback_refused"
    assert "not among the addresses" in tried.error.message


async def test_an_endpoint_that_is_no_more_is_shown_as_refused(fleet: Fleet, history: History) -> None:
    """By its id; where it was nobody knows."""
    callback_id = await tell(fleet, Callback(endpoint=f"ep_{'0' * 26}"))
    async with (
        callback_sender(fleet, SECRET) as sender,
        fleet.worker(entry(succeed), CALLBACKS, ports={CallbackSender: sender, JobReader: job_reader(fleet)}),
    ):
        await fleet.ended(callback_id)
    kept = await found(history, callback_id)
    assert (kept.state, kept.endpoint, kept.url) == ("failed", f"ep_{'0' * 26}", "")
    assert kept.error is not None
    assert "there is no endpoint" in kept.error.message


async def test_a_secret_that_cannot_be_opened_is_shown_while_it_is_tried_again(
    fleet: Fleet, endpoints: Endpoints, history: History, receiver: HttpReceiver
) -> None:
    """The operator has forgotten a key: the owner sees that it is not the receiver."""
    new = await endpoints.add(ACME, EndpointRequest(url=HttpUrl(receiver.url)))
    callback_id = await tell(fleet, Callback(endpoint=new.id))
    async with callback_sender(fleet, SECRET, sealing_keys=None) as keyless:
        ports: dict[type, object] = {CallbackSender: keyless, JobReader: job_reader(fleet)}
        async with fleet.worker(entry(succeed), CALLBACKS, ports=ports):
            await until(lambda: fleet.redis.exists(f"corral:bull:callback:{callback_id}"))
    kept = await found(history, callback_id)
    assert kept.error is not None
    assert (kept.state, kept.error.code, kept.url) == ("retrying", "callback_rejected", receiver.url)


async def test_one_that_was_parked_for_30_days_is_shown_as_failed(
    fleet: Fleet, endpoints: Endpoints, history: History, receiver: HttpReceiver
) -> None:
    """It can be replayed when its endpoint is enabled."""
    new = await endpoints.add(ACME, EndpointRequest(url=HttpUrl(receiver.url)))
    desk = desk_of(fleet.redis)
    await desk.gate.disable(await endpoints.target(ACME, new.id))
    long_ago = datetime.now(UTC) - timedelta(days=31)
    notice = Notice(
        id="callbacks_1",
        tenant=ACME,
        callback=Callback(endpoint=new.id),
        event="job.completed",
        body=b"{}",
        at=long_ago,
        job_id="trials_1",
        kind="trials.run",
        carrier_id="callbacks_1",
    )
    async with callback_sender(fleet, SECRET, desk=desk) as sender:
        with pytest.raises(CallbackRefused, match="30 days"):
            await sender.send(notice)
    assert (await found(history, "callbacks_1")).state == "failed"
