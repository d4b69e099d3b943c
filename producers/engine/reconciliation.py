"""Finds the callbacks that nothing else would ever send, and makes them due. Safe in many copies at once.

What there is to find, by reading the engine's own lists and sets, and never its events:

- **Callbacks that wait for nobody**: their job is gone, or has ended without moving them.
- **Live jobs without a callback**: added plainly and not yet taken, or somebody has emptied the queue ``callbacks``.
- **Ended jobs without a callback**: a worker in Node has ended what was added plainly.
"""

import json
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from typing import cast

from redis.asyncio import Redis

from producers.engine.adoption import CALLBACK_FIELD, Adoption, Plain
from producers.engine.jobs import answering
from producers.engine.new_job import Keep
from producers.engine.walk import ENDS, LIVE, Walk
from schemas.jobs.callbacks import DELIVER

_NAME = "reconciliation"

# KEYS: none that are known before. ARGV: the callbacks' keys' beginning, ids of callbacks.
_WAKE = """
local call, home, woken = redis.call, ARGV[1], 0
for i = 2, #ARGV do
  local children, waits = home .. ARGV[i] .. ':dependencies', false
  for _, child in ipairs(call('SMEMBERS', children)) do
    if call('HEXISTS', child, 'name') == 1 and call('HEXISTS', child, 'finishedOn') == 0 then waits = true
    else call('SREM', children, child) end
  end
  if not waits and call('ZREM', home .. 'waiting-children', ARGV[i]) == 1 then
    call('LPUSH', home .. 'wait', ARGV[i])
    call('ZADD', home .. 'marker', 0, '0')
    call('XADD', home .. 'events', '*', 'event', 'waiting', 'jobId', ARGV[i], 'prev', 'waiting-children')
    woken = woken + 1
  end
end
return woken
"""

# ARGV: the jobs' keys' beginning, the callbacks', CALLBACK_FIELD, ids of jobs. Whether they ask for a callback
# is only guessed at here: to read every payload would cost the server more than it does the worker.
_UNTOLD = """
local rows = {}
for i = 4, #ARGV do
  local job = ARGV[1] .. ARGV[i]
  local found = redis.call('HMGET', job, 'parentKey', ARGV[3], 'finishedOn', 'name')
  local parent, callback = found[1] or '', found[2]
  if not callback and string.sub(parent, 1, #ARGV[2]) == ARGV[2] then callback = parent end
  if not callback or redis.call('EXISTS', callback) == 0 then
    local data = redis.call('HGET', job, 'data')
    if data and string.find(data, '"_corral"', 1, true) and string.find(data, '"callback"', 1, true) then
      rows[#rows + 1] = {ARGV[i], found[4] or '', data, parent, callback and found[3] or ''}
    end
  end
end
return rows
"""


@dataclass(frozen=True)
class Reconciled:
    """What a turn has done: callbacks that it ``woke``, and jobs that it has given their callback."""

    woken: int = 0
    adopted: int = 0


@dataclass(frozen=True)
class _Untold:
    """A job without its callback. ``had_until_ms`` is when it ended, if it once had one; else 0."""

    job: Plain
    had_until_ms: float


class Reconciliation:
    """Looks through queues. Every method raises EngineUnavailable when the server does not answer."""

    def __init__(self, redis: Redis, *, prefix: str, queues: Iterable[str], keep: Keep) -> None:
        """Speak through ``redis``, which the caller closes; ended callbacks are kept by ``keep``."""
        self._redis = redis
        self._prefix = prefix
        self._queues = sorted(set(queues) - {DELIVER.queue})
        self._keep = keep
        self._adoption = Adoption(redis, prefix=prefix, keep=keep)
        self._walk = Walk(redis, prefix=prefix, name=_NAME, forget_s=keep.age_s)
        self._home = f"{prefix}:{DELIVER.queue}:"

    async def claim(self, *, for_s: float) -> bool:
        """Take the next turn; False when another copy has it. It saves work, and nothing leans on it."""
        async with answering():
            key = f"corral:{_NAME}:{self._prefix}:turn"
            return bool(await self._redis.set(key, 1, nx=True, px=round(for_s * 1000)))

    async def turn(self) -> Reconciled:
        """Look once, and put right what is found."""
        async with answering():
            woken = await self._wake()
            forgotten_ms = await self._forgotten_ms()
            adopted = sum([await self._tell(queue, forgotten_ms) for queue in self._queues])
        return Reconciled(woken, adopted)

    async def _wake(self) -> int:
        woken = 0
        async for page in self._walk.placed(DELIVER.queue, "waiting-children"):
            woken += await cast("Awaitable[int]", self._redis.eval(_WAKE, 0, self._home, *page))
        return woken

    async def _forgotten_ms(self) -> float:
        """Give until when callbacks have ended that are forgotten for their number: they are missing, not lost."""
        pipe = self._redis.pipeline(transaction=False)
        for end in ENDS:
            pipe.zcard(f"{self._home}{end}")
            pipe.zrange(f"{self._home}{end}", 0, 0, withscores=True)
        found = await pipe.execute()
        most = self._keep.count
        full = [oldest for count, oldest in zip(found[::2], found[1::2], strict=True) if most and count >= most]
        return max((ended_ms for oldest in full for _, ended_ms in oldest), default=0.0)

    async def _tell(self, queue: str, forgotten_ms: float) -> int:
        adopted = 0
        walks = [self._walk.placed(queue, place) for place in LIVE] + [self._walk.ended(queue, end) for end in ENDS]
        for walk in walks:
            async for page in walk:
                for one in await self._untold(queue, page):
                    if not 0 < one.had_until_ms < forgotten_ms:
                        adopted += await self._adoption.adopt(queue, one.job)
        return adopted

    async def _untold(self, queue: str, page: list[str]) -> list[_Untold]:
        args = (f"{self._prefix}:{queue}:", self._home, CALLBACK_FIELD, *page)
        rows = await cast("Awaitable[list[list[str]]]", self._redis.eval(_UNTOLD, 0, *args))
        return [
            _Untold(Plain(engine_id, name, _json(data), parent_key or None), float(ended_ms or 0))
            for engine_id, name, data, parent_key, ended_ms in rows
        ]


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
