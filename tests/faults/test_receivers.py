"""Receivers that are down, hostile or misleading: each callback is delivered or parked, under one id."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import chain, repeat

import pytest
from redis.asyncio import Redis

from producers.engine.jobs import Engine
from schemas.job_status import JobRecord, JobState
from tests.support.callback import CALLBACKS, SOON, add, sending
from tests.support.fleet import Fleet, entry, succeed
from tests.support.http_receiver import Answer, HttpReceiver, receiving
from tests.support.resolver import StubResolver


@pytest.fixture
def fleet(redis: Redis) -> Fleet:
    """Jobs on the tests' Valkey."""
    return Fleet(redis, Engine(redis, prefix="bull", keep_finished_s=3600))


@pytest.fixture
async def receiver() -> AsyncIterator[HttpReceiver]:
    """Who is told."""
    async with receiving() as running:
        yield running


async def settled(
    fleet: Fleet, url: str, *, timeout_s: float = 20.0, resolver: StubResolver | None = None
) -> JobRecord:
    """Have a job done whose callback goes there, and give what has become of the callback."""
    _, callback = await add(fleet, url)
    async with (
        sending(fleet, timeout_s=timeout_s, resolver=resolver) as ports,
        fleet.worker(entry(succeed), CALLBACKS, ports=ports),
    ):
        return await fleet.ended(callback, within_s=30)


def code(callback: JobRecord) -> str:
    """Give why a callback was parked."""
    assert callback.status.state is JobState.FAILED
    assert callback.status.error is not None
    return callback.status.error.code


@pytest.mark.guarantee(
    "receiver", "answers 500 for three days (in accelerated time)", "tried ten times, same id; parked"
)
async def test_a_receiver_that_never_recovers(fleet: Fleet, receiver: HttpReceiver) -> None:
    """Every try of the schedule is made; then the callback lies among the failed, to be replayed."""
    receiver.answers = [Answer(500)] * 20
    callback = await settled(fleet, receiver.url)
    assert code(callback) == "callback_rejected"
    assert len(receiver.requests) == SOON.retry.attempts == 10
    assert {request.headers["webhook-id"] for request in receiver.requests} == {callback.status.id}


@pytest.mark.guarantee("receiver", "answers 429 with `Retry-After`", "waits so long, delivered, same id")
async def test_a_receiver_that_asks_for_time(fleet: Fleet, receiver: HttpReceiver) -> None:
    """The next try is not before that."""
    receiver.answers = [Answer(429, headers=(("retry-after", "2"),))]
    callback = await settled(fleet, receiver.url)
    assert callback.status.state is JobState.COMPLETED
    first, second = (int(request.headers["webhook-timestamp"]) for request in receiver.requests)
    assert second - first >= 2


@pytest.mark.parametrize("where", ["http://10.0.0.1/", "http://169.254.169.254/latest/meta-data", "{same}/elsewhere"])
@pytest.mark.guarantee("receiver", "redirects, inward or elsewhere", "not followed; sent again to the address given")
async def test_a_receiver_that_redirects(fleet: Fleet, receiver: HttpReceiver, where: str) -> None:
    """Nothing is sent to where it points."""
    receiver.answers = [Answer(307, headers=(("location", where.format(same=receiver.url)),))]
    callback = await settled(fleet, receiver.url)
    assert (callback.status.state, callback.status.attempts) == (JobState.COMPLETED, 2)
    assert [request.path for request in receiver.requests] == ["/callbacks", "/callbacks"]


@pytest.mark.guarantee("receiver", "takes it, then streams 10 GB", "delivered; the answer is not read")
async def test_a_receiver_that_streams_without_end(fleet: Fleet, receiver: HttpReceiver) -> None:
    """Of ten gigabytes at most what the sockets hold is sent, and the callback counts as delivered."""
    receiver.answers = [Answer(200, size_bytes=10 << 30)]
    callback = await settled(fleet, receiver.url)
    assert (callback.status.state, callback.status.attempts) == (JobState.COMPLETED, 1)
    assert receiver.sent_bytes < 64 << 20


@pytest.mark.guarantee("receiver", "answers one byte at a time", "given up at the deadline; sent again; parked")
async def test_a_receiver_that_trickles(fleet: Fleet) -> None:
    """Each byte comes in time, the whole never: the deadline is for all of it."""
    async with trickling() as (url, asked):
        callback = await settled(fleet, url, timeout_s=0.3)
        assert code(callback) == "callback_rejected"
        assert len(asked) == 10


@pytest.mark.guarantee("receiver", "its name leads inward at the second try (rebinding)", "refused there; parked")
async def test_a_name_that_is_bound_anew(fleet: Fleet, receiver: HttpReceiver) -> None:
    """Each try resolves once and goes to the address that was checked."""
    receiver.answers = [Answer(503)]
    url = receiver.url.replace("127.0.0.1", "rebinding.example")
    callback = await settled(fleet, url, resolver=StubResolver("127.0.0.1", "10.0.0.1"))
    assert code(callback) == "callback_refused"
    assert len(receiver.requests) == 1


@asynccontextmanager
async def trickling() -> AsyncIterator[tuple[str, list[None]]]:
    """Listen as one who sends a header of his answer byte by byte, for ever; give the address and each who asked."""
    asked: list[None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(None)
        for byte in chain(b"HTTP/1.1 200 X\r\nx: ", repeat(ord("a"))):
            writer.write(bytes([byte]))
            with suppress(TimeoutError):
                async with asyncio.timeout(0.02):
                    if not await reader.read(65_536):
                        break
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", asked
