"""What came of callbacks: kept by age and by number, so that it can be looked at and sent again.

``corral:<prefix>:callback:<id>``        hash: the callback as it stands, and whose it is
``corral:<prefix>:callback:<id>:tries``  list: its newest twenty attempts, JSON
``corral:<prefix>:callbacks:<tenant>``   sorted set: the tenant's newest callbacks by when they were updated

All run out with their time to live.
"""

import json
import math
from collections.abc import Awaitable
from dataclasses import dataclass
from itertools import chain
from typing import Any, Self, cast
from urllib.parse import quote

from redis.asyncio import Redis

from producers.engine.jobs import answering
from schemas.callback_attempt import CallbackAttempt, CallbackFilter, CallbackPage, CallbackRecord, CallbackStatus
from schemas.errors import Permanent
from schemas.settings import CallbackSettings

_TRIES = 20
_LONGEST_ID = 128
_LOOK_AT_ONCE = 200

# KEYS: the callback, its tries, the tenant's index. ARGV: id, time in s, keep by age and by number, tries kept,
# the attempt or "", what the other callbacks' keys begin with, whether its state stays; then the fields.
_NOTE = """
local call = redis.call
local home, tries, index = KEYS[1], KEYS[2], KEYS[3]
local at, keep_s, count = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local state = call('HGET', home, 'state')
call('HSET', home, unpack(ARGV, 9))
if ARGV[8] == '1' and state then call('HSET', home, 'state', state) end
if ARGV[6] ~= '' then
  call('HINCRBY', home, 'attempts', 1)
  call('RPUSH', tries, ARGV[6])
  call('LTRIM', tries, -tonumber(ARGV[5]), -1)
  call('EXPIRE', tries, keep_s)
end
call('EXPIRE', home, keep_s)
call('ZADD', index, ARGV[2], ARGV[1])
call('EXPIRE', index, keep_s)
call('ZREMRANGEBYSCORE', index, '-inf', at - keep_s)
local over = call('ZCARD', index) - count
if over > 0 then
  local oldest = call('ZPOPMIN', index, over)
  for i = 1, #oldest, 2 do call('DEL', ARGV[7] .. oldest[i], ARGV[7] .. oldest[i] .. ':tries') end
end
"""


class CallbackMissing(Permanent):
    """This tenant has no such callback, or it is too old. Remedy: see ``GET /v1/callbacks``."""

    code = "callback_missing"


@dataclass(frozen=True)
class History:
    """Notes and shows. Every method raises EngineUnavailable when the server does not answer."""

    redis: Redis
    prefix: str
    keep_s: int
    keep_count: int
    look_at_most: int = 2_000

    @classmethod
    def of(cls, settings: CallbackSettings, redis: Redis) -> Self:
        """Keep as much as the settings say."""
        return cls(redis, settings.queue_prefix, settings.callback_keep_s, settings.callback_keep_count)

    async def note(self, tenant: str, status: CallbackStatus, attempt: CallbackAttempt | None) -> None:
        """Note how a callback stands, and the attempt that brought it there; None when it was parked unsent."""
        facts = status.model_dump(mode="json", exclude={"id", "attempts", "error"}) | {"tenant": tenant}
        facts["error"] = status.error.model_dump_json() if status.error else ""
        # Somebody's own try that has failed does not change what the schedule still has before it.
        kept = bool(attempt and attempt.on_request and status.error)
        pairs = ((name, "" if value is None else value) for name, value in facts.items())
        fields: list[Any] = list(chain.from_iterable(pairs))
        home = self._home(status.id)
        keys = [home, f"{home}:tries", self._index(tenant)]
        text = attempt.model_dump_json() if attempt else ""
        limits = [self.keep_s, self.keep_count, _TRIES]
        args: list[Any] = [status.id, status.updated_at.timestamp(), *limits, text, self._home(""), int(kept), *fields]
        async with answering():
            await cast("Awaitable[None]", self.redis.eval(_NOTE, len(keys), *keys, *args))

    async def get(self, tenant: str, callback_id: str) -> CallbackRecord:
        """Give one callback with its attempts.

        Raises:
            CallbackMissing: this tenant has none of that id, or it is too old.
        """
        missing = CallbackMissing(f"there is no callback {callback_id[:_LONGEST_ID]!r}; it may be too old")
        if ":" in callback_id:
            # No id has one: the name would lead to another key.
            raise missing
        home = self._home(callback_id)
        async with answering():
            pipe = self.redis.pipeline(transaction=True)
            pipe.hgetall(home)
            pipe.lrange(f"{home}:tries", 0, -1)
            fields, tries = await pipe.execute()
        if fields.get("tenant") != tenant:
            raise missing
        found = _status(callback_id, fields)
        return CallbackRecord(**dict(found), tries=[CallbackAttempt.model_validate_json(text) for text in tries])

    async def page(self, tenant: str, wanted: CallbackFilter) -> CallbackPage:
        """Give the callbacks that are meant, the one updated last first.

        A page looks at ``look_at_most`` callbacks, so it may have fewer than asked for, and a next one.
        """
        found: list[CallbackStatus] = []
        seen = wanted.cursor or ""
        for _ in range(self.look_at_most // _LOOK_AT_ONCE):
            rows, more = await self._rows(tenant, wanted, seen)
            for (callback_id, at), status in zip(rows, await self._read(tenant, rows), strict=True):
                seen = f"{at!r}:{callback_id}"
                if status is not None and wanted.matches(status):
                    found.append(status)
                if len(found) == wanted.limit:
                    return CallbackPage(callbacks=found, next=seen)
            if not more:
                return CallbackPage(callbacks=found)
        return CallbackPage(callbacks=found, next=seen)

    async def _rows(self, tenant: str, wanted: CallbackFilter, seen: str) -> tuple[list[tuple[str, float]], bool]:
        """Give the next callbacks with the time of each, and whether there may be more."""
        at, _, last_id = seen.partition(":")
        most = min(wanted.until.timestamp() if wanted.until else math.inf, _score(at))
        least = wanted.since.timestamp() if wanted.since else -math.inf
        async with answering():
            found = await self.redis.zrevrangebyscore(
                self._index(tenant), most, least, start=0, num=_LOOK_AT_ONCE, withscores=True
            )
        rows = cast("list[tuple[str, float]]", found)
        # Of the same moment, those behind the last one that was seen.
        ahead = [(one, score) for one, score in rows if not last_id or (score, one) < (_score(at), last_id)]
        return ahead, len(rows) == _LOOK_AT_ONCE

    async def _read(self, tenant: str, rows: list[tuple[str, float]]) -> list[CallbackStatus | None]:
        pipe = self.redis.pipeline(transaction=False)
        for callback_id, _ in rows:
            pipe.hgetall(self._home(callback_id))
        async with answering():
            hashes = await pipe.execute() if rows else []
        return [
            _status(callback_id, fields) if fields.get("tenant") == tenant else None
            for (callback_id, _), fields in zip(rows, hashes, strict=True)
        ]

    def _home(self, callback_id: str) -> str:
        return f"corral:{self.prefix}:callback:{callback_id}"

    def _index(self, tenant: str) -> str:
        return f"corral:{self.prefix}:callbacks:{quote(tenant, safe='')}"


def _score(text: str) -> float:
    # A cursor is the caller's text: what is no moment begins at the newest.
    try:
        score = float(text)
    except ValueError:
        return math.inf
    return score if math.isfinite(score) else math.inf


def _status(callback_id: str, fields: dict[str, str]) -> CallbackStatus:
    facts: dict[str, Any] = {name: value for name, value in fields.items() if value and name not in {"tenant", "error"}}
    error = fields.get("error")
    return CallbackStatus.model_validate({**facts, "id": callback_id} | ({"error": json.loads(error)} if error else {}))
