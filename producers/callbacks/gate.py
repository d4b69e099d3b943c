"""Whether a callback may be sent to its target now: limits, a breaker, and a line of those that wait.

A target is a registered endpoint, or of plain addresses their origin; each tenant's is its own.

``corral:<prefix>:target:<tenant>:<id>``         hash: the breaker, the wait that was asked for, the bucket of tokens
``corral:<prefix>:target:<tenant>:<id>:slots``   sorted set: callbacks under way by when they are given up
``corral:<prefix>:target:<tenant>:<id>:parked``  sorted set: callbacks that wait, the oldest event first
``corral:<prefix>:target:<tenant>:<id>:waiting`` sorted set: those of them whose worker waits, by until when it does

All run out 31 days after the last word. A callback that is parked is a delayed job of the engine: when a slot gets
free, whoever frees it calls the oldest one, or has it promoted, and the slot is kept for it. If that word is lost, the
job wakes by itself and asks again. So nothing depends on anybody living on.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.resources import files
from typing import Any, Literal, cast
from urllib.parse import quote

from redis.asyncio import Redis

from producers.callbacks.waiting import PATIENCE_S, Waiting
from producers.engine.jobs import answering
from producers.engine.promotion import Promotion
from schemas.endpoint import DEFAULT_CONCURRENCY, Disabled, EndpointHealth
from schemas.jobs.callbacks import DELIVER

Reason = Literal["disabled", "open", "throttled", "busy", "rate"]
Result = Literal["delivered", "failed", "gone", "unknown"]
Change = Literal["", "opened", "closed", "disabled"]

_KEEP_S = 31 * 24 * 3600
# Longer than a receiver has to answer: a worker that was killed leaves its slot for so long.
_LEASE_S = 30.0
# A slot is kept so long for a callback that was promoted.
_RESERVED_S = 5.0
_LONGEST_PARK_S = 3600.0
# Until a parked callback asks by itself, after what it waits for; and how much later the one behind it does.
_ASKS_AFTER_S: dict[Reason, float] = {"disabled": 3600.0, "open": 0.05, "throttled": 0.05, "busy": 0.25, "rate": 0.05}
_PACE_S: dict[Reason, float] = {"disabled": 1.0, "open": 1.0, "throttled": 0.05, "busy": 0.02, "rate": 0.0}

_SCRIPTS = files(__package__)
# One that is deleted at the same moment must not be left among the disabled.
_DISABLE = """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then redis.call('HSETNX', KEYS[2], ARGV[1], ARGV[2]) end
"""


@dataclass(frozen=True)
class Target:
    """Where callbacks go, and how many at once and a second; ``origin`` is what plain addresses go by."""

    tenant: str
    id: str
    concurrency: int = DEFAULT_CONCURRENCY
    rate_per_s: float | None = None
    origin: str = ""


@dataclass(frozen=True)
class Breaker:
    """After ``failures`` in a row nothing but probes is sent, the first after ``probe_s`` and each twice as late.

    A target that has failed for ``disable_after_s`` is disabled.
    """

    failures: int = 5
    probe_s: float = 30.0
    longest_probe_s: float = 900.0
    disable_after_s: float = 5 * 24 * 3600.0


@dataclass(frozen=True)
class Pass:
    """A callback may be sent; ``probe`` when by it the breaker learns whether the target is well again."""

    probe: bool


@dataclass(frozen=True)
class Parked:
    """A callback must wait, for ``delay_s`` unless it is promoted before; ``rank`` is its place in the line, from 0."""

    reason: Reason
    delay_s: float
    rank: int = 0


@dataclass(frozen=True)
class Sent:
    """What came of a callback, and after how long; ``wait_s`` is what the receiver asked for, None for nothing."""

    job_id: str
    result: Result
    probe: bool
    on_request: bool = False
    wait_s: float | None = None
    took_s: float = 0.0


class Gate:
    """Every method raises EngineUnavailable when the server does not answer."""

    def __init__(
        self, redis: Redis, *, prefix: str, breaker: Breaker = Breaker(), clock: Callable[[], float] = time.time
    ) -> None:
        """Look and write through ``redis``; ``clock`` gives the seconds since 1970."""
        self._redis = redis
        self._prefix = prefix
        self._breaker = breaker
        self._clock = clock
        self._delayed = f"{prefix}:{DELIVER.queue}:delayed"
        self._waiting = Waiting()
        self._round_trip_s = 0.0
        self._promote = Promotion(redis, prefix=prefix, queue=DELIVER.queue)
        shared = (_SCRIPTS / "gate.lua").read_text()
        self._enter: Any = redis.register_script(shared + (_SCRIPTS / "gate_enter.lua").read_text())
        self._disable: Any = redis.register_script(_DISABLE)
        self._leave: Any = redis.register_script(shared + (_SCRIPTS / "gate_leave.lua").read_text())

    async def enter(self, target: Target, job_id: str, at: datetime, *, on_request: bool = False) -> Pass | Parked:
        """Ask whether the callback that ``job_id`` carries may be sent; ``at`` is its event's time.

        One on request is sent whatever the breaker says, within the target's limits.
        """
        home = self._home(target)
        wait_s = PATIENCE_S if self._waiting.is_quick(home, target.concurrency) else 0.0
        found = await self._ask(target, job_id, [at.timestamp(), _LEASE_S, int(on_request), wait_s])
        if not (isinstance(found, Parked) and found.reason == "busy" and wait_s):
            return found
        if await self._waiting.wait(home, job_id, (found.rank + 1) / target.concurrency, partial(self._called, home)):
            return Pass(probe=False)
        return await self._ask(target, job_id, [at.timestamp(), _LEASE_S, int(on_request), 0.0])

    async def leave(self, target: Target, sent: Sent) -> Change:
        """Say what came of a callback that was let in, and have the next ones sent; tell what changed."""
        # Less what our own part takes: where that is much, it is no reason to think of the receiver as slow.
        self._waiting.learn(self._home(target), max(0.0, sent.took_s - self._round_trip_s))
        rule, now = self._breaker, datetime.fromtimestamp(self._clock(), UTC)
        reasons: list[Literal["gone", "failing"]] = ["gone", "failing"]
        why = [Disabled(at=now, reason=one, origin=target.origin).model_dump_json() for one in reasons]
        wait = "" if sent.wait_s is None else sent.wait_s
        learnt: list[object] = [sent.result, int(sent.probe), int(sent.on_request), wait, *why]
        limits = [rule.failures, rule.probe_s, rule.longest_probe_s, rule.disable_after_s]
        return await self._told(target, sent.job_id, learnt, limits)

    async def disable(self, target: Target) -> None:
        """Have nothing sent to a target; what comes is parked."""
        why = Disabled(at=datetime.fromtimestamp(self._clock(), UTC), reason="asked")
        async with answering():
            await self._disable([self._endpoints(target), self._off(target)], [target.id, why.model_dump_json()])

    async def enable(self, target: Target) -> None:
        """Forget what went wrong, and have what is parked sent, the oldest first."""
        async with answering():
            pipe = self._redis.pipeline(transaction=True)
            pipe.hdel(self._off(target), target.id)
            pipe.delete(self._home(target))
            await pipe.execute()
        await self._told(target, "", ["unknown", 0, 1, "", "", ""], [0, 0, 0, 0])

    async def health(self, target: Target) -> EndpointHealth:
        """Tell how it goes with a target."""
        home = self._home(target)
        async with answering():
            pipe = self._redis.pipeline(transaction=False)
            pipe.hmget(home, "failures", "since", "open_until")
            pipe.zcard(f"{home}:parked")
            (failures, since, open_until), parked = await pipe.execute()
        return EndpointHealth(
            breaker="open" if open_until else "closed",
            failures=int(failures or 0),
            failing_since=_time(since),
            next_probe_at=_time(open_until),
            parked=parked,
        )

    async def _ask(self, target: Target, job_id: str, wish: list[object]) -> Pass | Parked:
        keys, shared = self._shared(target, job_id)
        begun = time.perf_counter()
        async with answering():
            why, wait, rank = await self._enter(keys, [*shared, *wish])
        self._round_trip_s = time.perf_counter() - begun
        if why == "":
            return Pass(probe=bool(rank))
        return Parked(why, self._delay_s(target, why, float(wait), rank), rank)

    async def _called(self, home: str, job_ids: list[str]) -> list[str]:
        async with answering():
            found = await self._redis.zmscore(f"{home}:slots", job_ids)
        return [job_id for job_id, until in zip(job_ids, found, strict=True) if until is not None]

    async def _told(self, target: Target, job_id: str, learnt: list[object], limits: list[float]) -> Change:
        keys, shared = self._shared(target, job_id)
        async with answering():
            change, word, called, released = await self._leave(keys, [*shared, *learnt, *limits, _LEASE_S, _RESERVED_S])
            if word == "shut":
                self._waiting.dismiss(self._home(target))
            for one in called:
                self._waiting.call(self._home(target), one, goes=word == "go")
            await self._promote(released)
        return cast("Change", change)

    def _delay_s(self, target: Target, reason: Reason, wait_s: float, rank: int) -> float:
        # How long a probe takes nobody knows: whoever is first in the line looks again in time for the next one.
        wait_s = min(wait_s, self._breaker.probe_s) if reason == "open" else wait_s
        pace_s = max(_PACE_S[reason], 1 / target.rate_per_s if target.rate_per_s else 0.0)
        return wait_s + _ASKS_AFTER_S[reason] + min(rank * pace_s, _LONGEST_PARK_S)

    def _shared(self, target: Target, job_id: str) -> tuple[list[str], list[object]]:
        home, rate = self._home(target), target.rate_per_s or 0
        keys = [home, f"{home}:slots", f"{home}:parked", self._off(target), f"{home}:waiting", self._delayed]
        keys.append(self._endpoints(target))
        return keys, [self._clock(), target.id, job_id, target.concurrency, rate, _KEEP_S]

    def _home(self, target: Target) -> str:
        return f"corral:{self._prefix}:target:{quote(target.tenant, safe='')}:{target.id}"

    def _endpoints(self, target: Target) -> str:
        return f"corral:{self._prefix}:endpoints:{quote(target.tenant, safe='')}"

    def _off(self, target: Target) -> str:
        return f"corral:{self._prefix}:disabled:{quote(target.tenant, safe='')}"


def _time(seconds: str | None) -> datetime | None:
    return datetime.fromtimestamp(float(seconds), UTC) if seconds else None
