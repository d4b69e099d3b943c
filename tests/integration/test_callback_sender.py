"""The sender at its edges: what is too old, and what cannot be written down."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import HttpUrl
from redis.asyncio import Redis

from producers import connection
from producers.callbacks.history import History
from schemas.callback_attempt import CallbackParked
from schemas.endpoint import EndpointRequest
from schemas.envelope import Callback
from schemas.errors import CallbackRefused, CallbackRejected, EngineUnavailable
from tests.support.callback import SECRET
from tests.support.callback_sender import callback_sender, desk_of
from tests.support.fleet import Fleet
from tests.support.http_receiver import Answer, HttpReceiver
from worker.adapters.endpoint_callback_sender import Desk
from worker.ports import Notice


@pytest.fixture
async def forgetful(redis: Redis, tmp_path: Path) -> AsyncIterator[Desk]:
    """A desk whose history is on a server that is not there."""
    async with connection.fail_fast(f"unix://{tmp_path}/nothing") as nowhere:
        yield replace(desk_of(redis), history=History(nowhere, "bull", 3600, 10))


def notice(callback: Callback, age: timedelta = timedelta()) -> Notice:
    """Make a callback about something that happened then."""
    return Notice(
        id="callbacks_1",
        tenant="acme",
        callback=callback,
        event="job.completed",
        body=b"{}",
        at=datetime.now(UTC) - age,
        job_id="trials_1",
        kind="trials.run",
        carrier_id="callbacks_1",
    )


async def test_a_callback_is_parked_for_thirty_days(fleet: Fleet, receiver: HttpReceiver) -> None:
    """Then it has failed, with a word of what to do."""
    desk = desk_of(fleet.redis)
    new = await desk.endpoints.add("acme", EndpointRequest(url=HttpUrl(receiver.url)))
    await desk.gate.disable(await desk.endpoints.target("acme", new.id))
    async with callback_sender(fleet, SECRET, desk=desk) as sender:
        with pytest.raises(CallbackParked) as caught:
            await sender.send(notice(Callback(endpoint=new.id), timedelta(days=29)))
        assert 3_600 <= caught.value.retry_after_s < 2 * 3_600
        with pytest.raises(CallbackRefused, match="30 days"):
            await sender.send(notice(Callback(endpoint=new.id), timedelta(days=31)))
    assert receiver.requests == []


async def test_what_has_arrived_is_delivered_though_nobody_can_write_it_down(
    fleet: Fleet, receiver: HttpReceiver, forgetful: Desk
) -> None:
    """To send it again would be to send it twice."""
    async with callback_sender(fleet, SECRET, desk=forgetful) as sender:
        receipt = await sender.send(notice(Callback(url=HttpUrl(receiver.url))))
    assert receipt is not None
    assert (receipt.status, len(receiver.requests)) == (204, 1)


async def test_what_has_not_arrived_is_tried_again_when_nobody_can_write_it_down(
    fleet: Fleet, receiver: HttpReceiver, forgetful: Desk
) -> None:
    """Whatever the reason, there is another attempt."""
    receiver.answers = [Answer(500)]
    async with callback_sender(fleet, SECRET, desk=forgetful) as sender:
        with pytest.raises(EngineUnavailable):
            await sender.send(notice(Callback(url=HttpUrl(receiver.url))))


async def test_a_pause_is_kept_by_all_that_goes_there(fleet: Fleet, receiver: HttpReceiver) -> None:
    """503 with `Retry-After`: nothing more is sent until then, whatever is due."""
    receiver.answers = [Answer(503, headers=(("retry-after", "120"),))]
    callback = Callback(url=HttpUrl(receiver.url))
    async with callback_sender(fleet, SECRET) as sender:
        with pytest.raises(CallbackRejected) as rejected:
            await sender.send(notice(callback))
        with pytest.raises(CallbackParked) as parked:
            await sender.send(notice(callback))
    assert rejected.value.retry_after_s == 120
    assert 110 < parked.value.retry_after_s < 125
    assert len(receiver.requests) == 1
