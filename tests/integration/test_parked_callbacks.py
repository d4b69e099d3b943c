"""Callbacks that wait for their endpoint: none is lost, they go out in the order of age, and they slow nobody."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest
from pydantic import HttpUrl
from structlog.testing import capture_logs

from producers.callbacks.gate import Breaker, Gate, Target
from producers.callbacks.origin import origin_id, origin_of
from producers.engine.promotion import Promotion
from schemas.endpoint import EndpointRequest
from schemas.envelope import Callback
from schemas.job_spec import RetrySchedule
from schemas.job_status import JobState
from tests.support.callback import CALLBACKS, SECRET, SOON, tell
from tests.support.callback_sender import callback_sender, desk_of, job_reader
from tests.support.fleet import Fleet, entry, succeed
from tests.support.http_receiver import Answer, HttpReceiver, receiving
from tests.support.until import until
from worker.adapters.endpoint_callback_sender import Desk
from worker.ports import CallbackSender, JobReader

ACME = "acme"
# Retried long after the test has ended: what is sent again was parked.
ONCE = replace(CALLBACKS, spec=replace(SOON, retry=RetrySchedule((3600.0,) * 9)))


@dataclass
class Scene:
    """A receiver, what is kept of it, and a worker's ports."""

    fleet: Fleet
    receiver: HttpReceiver
    desk: Desk
    ports: dict[type, object]

    async def registered(self, concurrency: int = 1) -> Target:
        """Register the receiver."""
        request = EndpointRequest(url=HttpUrl(self.receiver.url), concurrency=concurrency)
        new = await self.desk.endpoints.add(ACME, request)
        return Target(ACME, new.id, concurrency=concurrency)

    async def tell(self, target: Target, count: int) -> list[str]:
        """Add jobs one after the other, have them done, and give the ids of their callbacks."""
        added = []
        for _ in range(count):
            added.append(await tell(self.fleet, Callback(endpoint=target.id)))
            async with self.fleet.worker(entry(succeed)):
                await self.fleet.ended(f"trials_{added[-1].partition('_')[2]}")
        return added

    async def parked(self, target: Target, count: int) -> bool:
        """Tell whether so many callbacks wait for a target."""
        return (await self.desk.gate.health(target)).parked == count

    @property
    def heard(self) -> list[str]:
        """The callbacks that the receiver was sent, in order."""
        return [request.headers["webhook-id"] for request in self.receiver.requests]


@pytest.fixture
async def scene(fleet: Fleet) -> AsyncIterator[Scene]:
    """A breaker that opens after two failures and probes after a fifth of a second."""
    rule = Breaker(failures=2, probe_s=0.2, longest_probe_s=0.4)
    desk = replace(desk_of(fleet.redis), gate=Gate(fleet.redis, prefix="bull", breaker=rule))
    async with receiving() as receiver, callback_sender(fleet, SECRET, desk=desk) as sender:
        ports: dict[type, object] = {
            CallbackSender: sender,
            JobReader: job_reader(fleet),
        }
        yield Scene(fleet, receiver, desk, ports)


async def test_what_was_parked_is_sent_in_the_order_of_age_when_it_is_enabled(scene: Scene) -> None:
    """However its jobs were taken; and each is sent once."""
    target = await scene.registered()
    added = await scene.tell(target, 8)
    await scene.desk.gate.disable(target)
    async with scene.fleet.worker(CALLBACKS, ports=scene.ports):
        await until(lambda: scene.parked(target, 8))
        assert scene.receiver.requests == []
        states = [(await scene.desk.history.get(ACME, one)).state for one in added]
        assert set(states) == {"parked"}
        await scene.desk.gate.enable(target)
        await until(lambda: len(scene.receiver.requests) == 8)
        for one in added:
            assert (await scene.fleet.ended(one)).status.state is JobState.COMPLETED
    assert scene.heard == added
    assert await scene.parked(target, 0)


async def test_410_disables_the_endpoint_and_the_callback_waits(scene: Scene) -> None:
    """Its owner finds it when the endpoint is enabled; the operator has an event."""
    target = await scene.registered()
    added = await scene.tell(target, 2)
    scene.receiver.answers = [Answer(410)]
    with capture_logs() as logs:
        async with scene.fleet.worker(CALLBACKS, ports=scene.ports):
            await until(lambda: parked_both(scene, added))
            status = await scene.desk.endpoints.get(ACME, target.id)
            assert status.disabled is not None
            assert (status.disabled.reason, len(scene.receiver.requests)) == ("gone", 1)
            # By this code `corral_callbacks_total` tells of it, once for each time.
            codes = [(await scene.fleet.job(one)).status.error for one in added]
            assert sorted(error.code for error in codes if error) == ["callback_parked", "endpoint_disabled"]
            await scene.desk.gate.enable(target)
            await until(lambda: len(scene.receiver.requests) == 2)
    (told,) = [line for line in logs if line["event"] == "endpoint.disabled"]
    assert (told["endpoint"], told["tenant"], told["log_level"]) == (target.id, ACME, "error")
    (act,) = await scene.desk.audit.newest(10)
    assert (act.act, act.on, act.by) == ("endpoint.disabled", f"{ACME}/{target.id}", "corral")


async def parked_both(scene: Scene, callback_ids: list[str]) -> bool:
    """Tell whether all of these wait."""
    return {await state(scene, one) for one in callback_ids} == {"parked"}


async def state(scene: Scene, callback_id: str) -> str:
    """Give a callback's state; empty when nothing is noted."""
    return str(await scene.fleet.redis.hget(f"corral:bull:callback:{callback_id}", "state") or "")


async def test_a_receiver_that_comes_back_gets_everything(scene: Scene) -> None:
    """The breaker opens, probes with the oldest, closes, and what was parked follows in the order of age."""
    target = await scene.registered()
    added = await scene.tell(target, 8)
    scene.receiver.answers = [Answer(500)] * 4
    async with scene.fleet.worker(ONCE, ports=scene.ports):
        await until(lambda: len(set(scene.heard[4:])) == 4, within_s=30)
        await until(lambda: scene.parked(target, 0))
    # Four have failed, each by a callback of its own: two opened the breaker, two were probes.
    assert sorted(scene.heard) == sorted(added)
    assert scene.heard[4:] == [one for one in added if one in scene.heard[4:]]
    assert (await scene.desk.gate.health(target)).breaker == "closed"


async def test_while_the_breaker_is_open_attempts_are_not_used_up(scene: Scene) -> None:
    """A callback that was parked more often than it has attempts still has them all."""
    target = await scene.registered()
    (added,) = await scene.tell(target, 1)
    await scene.desk.gate.disable(target)
    promote = Promotion(scene.fleet.redis, prefix="bull", queue="callbacks")
    async with scene.fleet.worker(CALLBACKS, ports=scene.ports):
        for _ in range(12):
            await until(lambda: scene.fleet.redis.zscore("bull:callbacks:delayed", added))
            await promote([added])
        await until(lambda: scene.fleet.redis.zscore("bull:callbacks:delayed", added))
        await scene.desk.gate.enable(target)
        assert (await scene.fleet.ended(added)).status.state is JobState.COMPLETED
    raw = await scene.fleet.raw(added, "callbacks")
    assert (int(raw["atm"]), int(raw["ats"]) >= 13) == (1, True)


async def test_a_plain_address_counts_by_its_origin(scene: Scene) -> None:
    """Two paths of one origin have one breaker; another tenant's is another."""
    callbacks = [Callback(url=HttpUrl(f"{scene.receiver.url}/{path}")) for path in ("a", "b", "c")]
    origin = origin_of(str(callbacks[0].url))
    target = Target(ACME, origin_id(origin), origin=origin)
    scene.receiver.answers = [Answer(500), Answer(500)]
    async with scene.fleet.worker(entry(succeed), ONCE, ports=scene.ports):
        for callback in callbacks[:2]:
            await tell(scene.fleet, callback)
        await until(lambda: len(scene.receiver.requests) == 2)
        await until(lambda: opened(scene, target))
        other = await tell(scene.fleet, callbacks[2], tenant="other")
        assert (await scene.fleet.ended(other)).status.state is JobState.COMPLETED
        third = await tell(scene.fleet, callbacks[2])
        assert (await scene.fleet.ended(third)).status.state is JobState.COMPLETED
    assert (await scene.desk.gate.health(target)).breaker == "closed"


async def opened(scene: Scene, target: Target) -> bool:
    """Tell whether a breaker is open."""
    return (await scene.desk.gate.health(target)).breaker == "open"


async def test_a_receiver_has_no_more_at_once_than_it_may_and_all_arrive(scene: Scene) -> None:
    """A hundred callbacks, three at once: all arrive, and no job is lost on the way by whoever had it in hand."""
    target = await scene.registered(concurrency=3)
    added = [await tell(scene.fleet, Callback(endpoint=target.id)) for _ in range(100)]
    with capture_logs() as logs:
        # Locks are looked at twice a second, so that some are looked at while their jobs end.
        async with scene.fleet.worker(entry(succeed), CALLBACKS, ports=scene.ports, concurrency=60):
            await until(lambda: len(scene.receiver.requests) >= 100, within_s=40)
            for one in added:
                await scene.fleet.ended(one)
    assert set(scene.heard) == set(added)
    assert scene.receiver.most_at_once <= 3
    assert [line for line in logs if line["event"] == "job.lock_lost"] == []


async def test_a_dead_endpoint_slows_nobody(scene: Scene) -> None:
    """Sixty callbacks to one that never answers, twenty to one that does, one worker: the twenty arrive at once."""
    async with receiving() as dead:
        dead.answers = [Answer(hangs=True)] * 1_000
        for _ in range(60):
            await tell(scene.fleet, Callback(url=HttpUrl(dead.url)))
        live = [await tell(scene.fleet, Callback(url=HttpUrl(scene.receiver.url))) for _ in range(20)]
        async with scene.fleet.worker(entry(succeed), CALLBACKS, ports=scene.ports, concurrency=60):
            await until(lambda: len(scene.receiver.requests) == 20, within_s=10)
            assert sorted(scene.heard) == sorted(live)
            # As many as one endpoint may have at once hang there, and no more.
            assert len(dead.requests) <= 25
            await asyncio.gather(*(scene.fleet.ended(one) for one in live))
