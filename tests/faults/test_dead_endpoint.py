"""One worker process, a dead receiver and a live one, under load: nothing is lost, and the live one does not wait."""

import os
import signal
import time
from collections.abc import Awaitable, Callable

import pytest
from pydantic import HttpUrl

from producers.callbacks.gate import Target
from producers.callbacks.origin import origin_id, origin_of
from schemas.endpoint import DEFAULT_CONCURRENCY
from schemas.envelope import Callback
from tests.support.callback import tell
from tests.support.callback_sender import desk_of
from tests.support.fleet import Fleet, entry, succeed
from tests.support.http_receiver import Answer, HttpReceiver, receiving
from tests.support.until import until
from tests.support.worker_process import WorkerProcesses

ACME, MANY = "acme", 100


async def due(fleet: Fleet, receiver: HttpReceiver, count: int) -> list[str]:
    """Have so many jobs done, and so many callbacks due; give their ids."""
    added = [await tell(fleet, Callback(url=HttpUrl(receiver.url))) for _ in range(count)]
    async with fleet.worker(entry(succeed)):
        for one in added:
            await fleet.ended(f"trials_{one.partition('_')[2]}")
    return added


def heard(receiver: HttpReceiver) -> set[str]:
    """Give the callbacks that have come to a receiver."""
    return {request.headers["webhook-id"] for request in receiver.requests}


def target_of(receiver: HttpReceiver) -> Target:
    """Name what breaker and limits go by."""
    return Target(ACME, origin_id(origin_of(receiver.url)))


def parked(fleet: Fleet, receiver: HttpReceiver, count: int) -> Callable[[], Awaitable[bool]]:
    """Ask whether so many callbacks wait for a receiver."""
    desk = desk_of(fleet.redis)

    async def look() -> bool:
        return (await desk.gate.health(target_of(receiver))).parked >= count

    return look


@pytest.mark.timeout(150)
async def test_a_dead_receiver_makes_no_live_one_wait_and_loses_nothing(workers: WorkerProcesses, fleet: Fleet) -> None:
    """A hundred to one that never answers, before a hundred to one that does; then the worker is killed.

    The live one has all of its within the time that one answer of the dead one may take. When that one is
    well again it gets all of its, whoever had taken them.
    """
    async with receiving() as dead, receiving() as live:
        dead.answers = [Answer(hangs=True)] * 10_000
        to_dead, to_live = await due(fleet, dead, MANY), await due(fleet, live, MANY)
        begun = time.monotonic()
        process = workers.start("worker", "callbacks")
        await until(lambda: heard(live) == set(to_live), within_s=60)
        took_s = time.monotonic() - begun
        await until(parked(fleet, dead, MANY - DEFAULT_CONCURRENCY), within_s=60)
        assert len(heard(dead)) == DEFAULT_CONCURRENCY
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        dead.answers = []
        workers.start("worker", "callbacks")
        await until(lambda: heard(dead) == set(to_dead), within_s=60)
        for one in to_dead:
            await fleet.ended(one, within_s=30)
    assert took_s < 20
