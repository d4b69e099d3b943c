"""The border with the engine's job schedulers: schedules are kept by it, and a firing is one of its jobs.

A scheduler has at most one job that is due next, so many workers make one firing. A worker that takes
it has the scheduler advance in the same step; ``advance`` heals what a lost connection left undone.
"""

import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

from bullmq import Queue
from bullmq.job_scheduler import JobScheduler
from redis.asyncio import Redis

from producers.engine.firing_time import next_firing
from producers.engine.job_record import failed_with
from producers.engine.jobs import answering
from schemas.job_spec import AnySpec
from schemas.job_status import JobState
from schemas.schedule import Cron, Every, FailedFiring

_SECOND_MS = 1000
# Of a schedule that fires each second nobody needs the firings of four days.
_KEEP_FIRINGS = 1_000


@dataclass(frozen=True)
class KeptSchedule:
    """A scheduler as the engine has it. ``data`` is what each firing's job has, ``repeat`` when."""

    id: str
    data: Any
    repeat: dict[str, Any]
    next_at: datetime
    fired: int


class EngineSchedules:
    """Keeps schedules in the engine; every firing is a job of ``spec``."""

    def __init__(self, redis: Redis, *, prefix: str, spec: AnySpec, keep_finished_s: int) -> None:
        """Speak through ``redis``, which the caller closes."""
        self._redis = redis
        self._queue_key = f"{prefix}:{spec.queue}"
        self._home = f"{self._queue_key}:repeat"
        self._schedulers = scheduler(Queue(spec.queue, {"connection": redis, "prefix": prefix}))
        self._spec = spec
        keep = {"age": keep_finished_s, "count": _KEEP_FIRINGS}
        self._options = {
            "attempts": spec.retry.attempts,
            "removeOnComplete": keep,
            "removeOnFail": keep,
            "stackTraceLimit": 0,
        }

    async def put(self, schedule_id: str, when: Cron | Every, data: dict[str, Any]) -> None:
        """Keep a schedule in place of one of the same id. What is unchanged fires when it would have.

        Raises:
            PayloadInvalid: it would never fire.
            EngineUnavailable: the server did not confirm; it is safe to try again.
        """
        async with answering():
            await self._schedulers.upsertJobScheduler(
                schedule_id, _repeat(when), self._spec.kind, data, dict(self._options)
            )

    async def get(self, schedule_id: str) -> KeptSchedule | None:
        """Give a schedule, or None."""
        found = [kept async for kept in self._read([schedule_id])]
        return found[0] if found else None

    async def ids(self) -> list[str]:
        """Give the id of every schedule of every tenant; the one that fires next is the first."""
        async with answering():
            return [str(one) for one in await self._redis.zrange(self._home, 0, -1)]

    async def all(self) -> AsyncIterator[KeptSchedule]:
        """Give every schedule of every tenant; the one that fires next is the first."""
        async for kept in self._read(await self.ids()):
            yield kept

    async def failed(self, schedule_ids: Iterable[str]) -> dict[str, FailedFiring]:
        """Give of each of these schedules the newest firing that has not added its job, where there is one."""
        wanted = {f"repeat:{schedule_id}" for schedule_id in schedule_ids}
        async with answering():
            firings = sorted((one for one in await self._firings() if one.rpartition(":")[0] in wanted), key=due_at)
            pipe = self._redis.pipeline(transaction=False)
            for firing in firings:
                pipe.hmget(f"{self._queue_key}:{firing}", "failedReason", "finishedOn", "returnvalue")
            records = await pipe.execute()
        found: dict[str, FailedFiring] = {}
        for firing, (reason, ended, result) in zip(firings, records, strict=True):
            # It may have ended since the lists were read, one way or the other.
            error = failed_with({"failedReason": reason}, JobState.FAILED)
            if error is not None and result is None:
                failed = FailedFiring(due_at=due_at(firing), error=error, tried_again=ended is None)
                found[firing.removeprefix("repeat:").rpartition(":")[0]] = failed
        return found

    async def _firings(self) -> set[str]:
        # One a schedule, and those that are tried again: few enough to be looked through by who asks.
        pipe = self._redis.pipeline(transaction=True)
        pipe.zrange(f"{self._queue_key}:failed", 0, -1)
        pipe.zrange(f"{self._queue_key}:delayed", 0, -1)
        pipe.lrange(f"{self._queue_key}:wait", 0, -1)
        pipe.lrange(f"{self._queue_key}:active", 0, -1)
        return set(chain(*await pipe.execute()))

    async def remove(self, schedule_id: str) -> bool:
        """Remove a schedule and its next firing; False when there is none."""
        async with answering():
            return bool(await self._schedulers.removeJobScheduler(schedule_id) == 0)

    async def advance(self, firing_id: str) -> None:
        """Make sure that the schedule of a firing has a next one. Nothing happens when it has, or is gone.

        A worker's connection may have broken just when it should have advanced the schedule, which
        would never fire again.
        """
        schedule_id, _, due_ms = firing_id.removeprefix("repeat:").rpartition(":")
        kept = await self.get(schedule_id)
        if kept is None or round(kept.next_at.timestamp() * _SECOND_MS) != int(due_ms):
            return
        async with answering():
            # The script changes nothing when the schedule is no longer at this firing.
            await self._schedulers.upsertJobScheduler(
                schedule_id,
                kept.repeat,
                self._spec.kind,
                kept.data,
                dict(self._options),
                override=False,
                producer_id=firing_id,
            )

    async def _read(self, schedule_ids: list[str]) -> AsyncIterator[KeptSchedule]:
        # Not by the package, which raises ValueError for a schedule that is not there.
        pipe = self._redis.pipeline(transaction=True)
        for schedule_id in schedule_ids:
            pipe.hgetall(f"{self._home}:{schedule_id}")
            pipe.zscore(self._home, schedule_id)
        async with answering():
            found = await pipe.execute() if schedule_ids else []
        for schedule_id, raw, next_ms in zip(schedule_ids, found[::2], found[1::2], strict=True):
            if raw and next_ms is not None:
                yield _kept(schedule_id, raw, next_ms)


def scheduler(queue: Any) -> JobScheduler:  # noqa: ANN401 - a queue or a worker of the package
    """Make the package's scheduler with our reckoning of when a cron expression fires."""
    return JobScheduler(queue, _next_ms)


def due_at(firing_id: str) -> datetime:
    """Say when a firing was due, from its job's id."""
    return datetime.fromtimestamp(int(firing_id.rpartition(":")[2]) / _SECOND_MS, UTC)


def following(when: Cron | Every, due: datetime) -> datetime:
    """Say when the firing comes that follows one that was due then."""
    match when:
        case Cron():
            return next_firing(when, due)
        case Every(every_s=every_s):
            return due + timedelta(seconds=every_s)


def _next_ms(after_ms: int, repeat: dict[str, Any]) -> int:
    when = Cron(cron=repeat["pattern"], timezone=repeat.get("tz", "UTC"))
    found = next_firing(when, datetime.fromtimestamp(after_ms / _SECOND_MS, UTC))
    return round(found.timestamp() * _SECOND_MS)


def _repeat(when: Cron | Every) -> dict[str, Any]:
    match when:
        case Cron(cron=cron, timezone=zone):
            return {"pattern": cron, "tz": zone}
        case Every(every_s=every_s):
            return {"every": every_s * _SECOND_MS}


def _kept(schedule_id: str, raw: dict[str, str], next_ms: float) -> KeptSchedule:
    repeat: dict[str, Any] = {name: raw[name] for name in ("pattern", "tz") if name in raw}
    if "every" in raw:
        repeat["every"] = int(raw["every"])
    return KeptSchedule(
        id=schedule_id,
        data=json.loads(raw.get("data", "{}")),
        repeat=repeat,
        next_at=datetime.fromtimestamp(next_ms / _SECOND_MS, UTC),
        # The engine counts the jobs it has made, and the next one is made already.
        fired=max(0, int(raw.get("ic", 1)) - 1),
    )
