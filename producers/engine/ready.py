"""Which queues have a job that a worker with room for it would be given now, by the rules of the engine's scripts."""

import time
from collections.abc import Awaitable, Sequence
from typing import cast

from redis.asyncio import Redis

from producers.engine.jobs import answering

_PARTS = ("meta", "active", "limiter", "wait", "prioritized", "delayed")

# KEYS: these parts of each queue in turn. ARGV: now, as a delayed job's score is. Gives 1 or 0 for each queue.
_SCRIPT = """
local call = redis.call
local function ready(meta, active, limiter, wait, prioritized, delayed)
  local paused, concurrency, most = unpack(call('HMGET', meta, 'paused', 'concurrency', 'max'))
  if paused or (concurrency and call('LLEN', active) >= tonumber(concurrency)) then return 0 end
  if most and tonumber(call('GET', limiter) or 0) >= tonumber(most) and call('PTTL', limiter) > 0 then return 0 end
  if call('LLEN', wait) > 0 or call('ZCARD', prioritized) > 0 then return 1 end
  return call('ZCOUNT', delayed, '-inf', ARGV[1]) > 0 and 1 or 0
end
local found = {}
for i = 1, #KEYS, 6 do table.insert(found, ready(unpack(KEYS, i, i + 5))) end
return found
"""
_SCORE_UNIT = 0x1000  # a delayed job's score is its time in milliseconds, times this


async def ready(redis: Redis, prefix: str, queues: Sequence[str]) -> set[str]:
    """Name those of the queues: a job waits or is due, and neither a pause nor a limit holds it back.

    Raises:
        EngineUnavailable: the server does not answer, or what it has of a queue is no queue.
    """
    keys = [f"{prefix}:{name}:{part}" for name in queues for part in _PARTS]
    now = round(time.time() * 1000) * _SCORE_UNIT
    async with answering():
        found = await cast("Awaitable[list[int]]", redis.eval(_SCRIPT, len(keys), *keys, str(now)))
    return {name for name, is_ready in zip(queues, found, strict=True) if is_ready}
