"""Facts about the engine's package that Corral works around or leans on; its next release may change them."""

import asyncio
import json
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from bullmq import Job, Queue
from bullmq.job import optsDecodeMap
from bullmq.scripts import msgpack

from corral.stack import free_port
from producers import connection
from producers.engine.adding import ADDING, Adding
from producers.engine.jobs import Engine, NewJob
from producers.engine.new_job import Keep, Parent, options
from schemas import job_id as ids
from schemas.envelope import Envelope
from schemas.errors import EngineUnavailable
from schemas.job_status import JobState
from tests.support.fleet import QUEUE, Fleet, Seen, Trial, entry, spec
from tests.support.until import until
from worker.consumer import BLOCK_S


@pytest.mark.timeout(120)
async def test_the_first_job_after_a_minute_of_idling_is_taken_at_once(fleet: Fleet) -> None:
    """Within 100 ms, though nothing came for 60 s: the blocking read has not fallen asleep (fact 1)."""
    handle = Seen()
    async with fleet.worker(entry(handle)):
        await fleet.ended(await fleet.add_raw({}))
        idle_until = time.monotonic() + 60
        await until(lambda: time.monotonic() > idle_until, within_s=61)
        added = time.monotonic()
        job_id = await fleet.add_raw({})
        await until(lambda: len(handle.runs) == 2)
        assert time.monotonic() - added < 0.1
        await fleet.ended(job_id)


def test_a_blocking_read_never_times_out_on_our_side() -> None:
    """The socket's limit lies 10 s above the longest block (fact 1)."""
    client = connection.patient("redis://127.0.0.1:1", block_s=BLOCK_S)
    assert client.connection_pool.connection_kwargs["socket_timeout"] >= BLOCK_S + 10


async def test_adding_fails_at_once_when_nobody_answers() -> None:
    """A producer hears of it within half a second, not after minutes of retries (fact 3)."""
    begun = time.monotonic()
    async with connection.fail_fast(f"redis://127.0.0.1:{free_port()}") as client:
        engine = Engine(client, prefix="bull", keep_finished_s=3600)
        with pytest.raises(EngineUnavailable):
            await engine.add(NewJob(ids.new(QUEUE), spec(), {}))
    assert time.monotonic() - begun < 0.5


async def test_a_finished_job_is_not_run_again_when_it_is_added_again(fleet: Fleet) -> None:
    """Its id is kept, and as long as it is, the same request means the same run (fact 7)."""
    handle = Seen()
    job = NewJob(ids.new(QUEUE), spec(), Envelope().wrap(Trial()))
    async with fleet.worker(entry(handle)):
        await fleet.engine.add(job)
        await fleet.ended(job.id)
        await fleet.engine.add(job)
        await fleet.ended(await fleet.add_raw({}))
    assert [run.id for run in handle.runs].count(job.id) == 1


ABOVE = Parent("documents_1", "bull:documents")


@pytest.mark.parametrize(
    ("parent", "priority", "delay_s"),
    [(None, 0, 0.0), (ABOVE, 0, 0.0), (None, 1, 0.0), (ABOVE, 1, 0.0), (None, 0, 1.5), (ABOVE, 1, 1.5)],
)
async def test_a_job_is_added_as_the_package_adds_it(parent: Parent | None, priority: int, delay_s: float) -> None:
    """Script, keys and arguments are the package's own, made in half the time."""
    queue = Queue(QUEUE, {"connection": connection.fail_fast("redis://127.0.0.1:1")})
    job = NewJob(ids.new(QUEUE), spec(), Envelope().wrap(Trial(text="\u00e9")), delay_s=delay_s, child_of=parent)
    written = options(job, Keep(60, 10), parent=parent, priority=priority)
    ours = Adding(queue).work(job, written, parent)
    sent: list[tuple[str, list[str], list[Any]]] = []

    async def record(name: str, *, keys: list[str], args: list[Any], client: None) -> str:
        assert client is None
        sent.append((name, keys, args))
        return job.id

    package = queue.backend.scripts
    package.commands = {name: partial(record, name) for name in ADDING}
    await package.addJob(Job(queue, job.spec.kind, job.data, {optsDecodeMap.get(k, k): v for k, v in written.items()}))

    ((name, keys, args),) = sent
    assert (ours.name, list(ours.keys)) == (name, keys)
    assert _readable(ours.args) == _readable(args)


def _readable(args: Sequence[Any]) -> list[Any]:
    place, data, options_, *rest = args
    place = msgpack.unpackb(place)
    assert abs(place.pop(3) - time.time() * 1000) < 10_000
    return [place, json.loads(data), msgpack.unpackb(options_), [one for one in rest if one < 10**12]]


async def test_a_stall_uses_up_no_attempt(fleet: Fleet) -> None:
    """A worker that dies under a job costs it a crash, not a try (fact 11)."""
    handle = Seen()
    job_id = await fleet.add_raw({})
    dead = Queue(QUEUE, {"connection": fleet.redis})
    await dead.backend.moveToActive("of the dead", {"lockDuration": 100})
    async with fleet.worker(entry(handle)):
        job = await fleet.ended(job_id)
    assert job.status.state is JobState.COMPLETED
    assert handle.runs[0].attempt == 1
    assert (await fleet.raw(job_id))["stc"] == "1"


async def test_the_package_still_swallows_a_cancel_that_comes_after_stop(fleet: Fleet) -> None:
    """Why the runner fetches in a task of its own; when this fails, that may go."""
    async with fleet.worker(entry(Seen())) as runner:
        package = runner._consumer._worker
        await until(lambda: package.waiting is not None)
        waiting = package.waiting
        runner.stop()
        await asyncio.wait([waiting])
        assert waiting.cancelled()
