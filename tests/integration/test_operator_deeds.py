"""What operators do to queues with Node's own API, as bull-board has it: whoever waits for a job hears of it."""

import pytest

from producers.engine.notice import callback_id, plain_callback_id
from tests.support.callback import CALLBACKS, WAYS, Way, deliver, enter, reconciliation, told
from tests.support.fleet import QUEUE, Fleet, Seen, entry, hang, succeed
from tests.support.http_receiver import HttpReceiver
from tests.support.node import interop, needs_node
from tests.support.until import until

pytestmark = needs_node
FOREVER = 3_600_000


def id_of(way: Way, job_id: str) -> str:
    """Name the callback of a job that entered so."""
    return plain_callback_id(job_id) if way == "plain" else callback_id(job_id)


DEEDS = [
    pytest.param("remove", {}, marks=pytest.mark.guarantee("operator", "`job.remove()`", "delivered, `job_removed`")),
    pytest.param("drain", {}, marks=pytest.mark.guarantee("operator", "`queue.drain()`", "delivered, `job_removed`")),
    pytest.param(
        "drain",
        {"delay": FOREVER},
        marks=pytest.mark.guarantee("operator", "`queue.drain(true)` of delayed jobs", "delivered, `job_removed`"),
    ),
    pytest.param("clean", {}, marks=pytest.mark.guarantee("operator", "`queue.clean()`", "delivered, `job_removed`")),
    pytest.param(
        "obliterate", {}, marks=pytest.mark.guarantee("operator", "`queue.obliterate()`", "delivered, `job_removed`")
    ),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("deed", "options"), DEEDS)
async def test_a_job_that_an_operator_removed_is_told(
    fleet: Fleet,
    receiver: HttpReceiver,
    ports: dict[type, object],
    *,
    way: Way,
    deed: str,
    options: dict[str, int],
) -> None:
    """Though no worker has ever had it; a plain one since the turn that has found it."""
    job_id = await enter(fleet, way, receiver.url, **options)
    await reconciliation(fleet).turn()
    engine_id = job_id if way == "api" else job_id.removeprefix(f"{QUEUE}_")
    await interop(fleet.url, QUEUE, deed, {"remove": engine_id, "clean": "wait"}.get(deed))
    assert await fleet.raw(job_id) == {}
    await deliver(fleet, receiver, ports)
    event = told(receiver)
    assert (event.type, event.data.id) == ("job.cancelled", job_id)
    assert event.data.error is not None
    assert event.data.error.code == "job_removed"
    assert receiver.requests[0].headers["webhook-id"] == id_of(way, job_id)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.guarantee("operator", "`queue.obliterate({ force: true })` while it runs", "delivered, `job_removed`")
async def test_a_job_that_was_obliterated_as_it_ran_is_told(
    fleet: Fleet, receiver: HttpReceiver, ports: dict[type, object], way: Way
) -> None:
    """The plain one without a turn in between: its worker has given it its callback."""
    handle = Seen([hang])
    await enter(fleet, way, receiver.url)
    async with fleet.worker(entry(handle), CALLBACKS, ports=ports):
        await until(lambda: bool(handle.runs))
        await interop(fleet.url, QUEUE, "obliterate")
        await until(lambda: bool(receiver.requests))
    error = told(receiver).data.error
    assert error is not None
    assert error.code == "job_removed"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.guarantee("operator", "the queue `callbacks` is obliterated before the job ends", "delivered, same id")
async def test_a_callback_that_was_removed_before_its_job_ended_comes_back(
    fleet: Fleet, receiver: HttpReceiver, ports: dict[type, object], way: Way
) -> None:
    """Under its own id, as soon as somebody looks."""
    job_id = await enter(fleet, way, receiver.url)
    await reconciliation(fleet).turn()
    await interop(fleet.url, "callbacks", "obliterate")
    await reconciliation(fleet).turn()
    await deliver(fleet, receiver, ports)
    assert told(receiver).data.id == job_id
    assert receiver.requests[0].headers["webhook-id"] == id_of(way, job_id)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.guarantee(
    "operator", "the queue `callbacks` is obliterated, and the job ends before anybody looks", "delivered, same id"
)
async def test_a_callback_that_was_removed_as_its_job_ended_comes_back(
    fleet: Fleet, receiver: HttpReceiver, ports: dict[type, object], way: Way
) -> None:
    """The job's record tells how it ended."""
    job_id = await enter(fleet, way, receiver.url)
    await reconciliation(fleet).turn()
    async with fleet.worker(entry(succeed)):
        await interop(fleet.url, "callbacks", "obliterate")
        await fleet.ended(job_id)
    await reconciliation(fleet).turn()
    await deliver(fleet, receiver, ports)
    assert (told(receiver).type, told(receiver).data.id) == ("job.completed", job_id)
    assert receiver.requests[0].headers["webhook-id"] == id_of(way, job_id)
