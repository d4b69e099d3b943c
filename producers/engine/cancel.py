"""How a wish that a job should end is written down: one field of the job, and a place at the head of its line.

A worker that runs the job looks for the field; one that takes it later ends it unrun. Lest its owner wait
for that, a job that waits or is delayed moves to where the next worker takes it from: the end of the
engine's plain list that is emptied first. All in one script, so a job is never in two places or in none.
"""

import time
from collections.abc import Awaitable
from contextlib import suppress
from typing import cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

# The field of a job's hash that says when somebody asked for its end; the worker looks for it.
CANCEL_FIELD = "corralCancelledAt"

# A flag on a job that is gone would leave a hash that nobody owns; one on a job that has ended would
# end it again when somebody has it done anew.
_SCRIPT = """
local call, job, id = redis.call, KEYS[1], ARGV[1]
if call('EXISTS', job) == 0 then return 0 end
if call('HEXISTS', job, 'finishedOn') == 1 then return 1 end
call('HSET', job, ARGV[2], ARGV[3])
local before
if call('ZREM', KEYS[2], id) == 1 then
  before = 'prioritized'
elseif call('LREM', KEYS[3], 1, id) == 1 then
  before = 'waiting'
elseif call('ZREM', KEYS[4], id) == 1 then
  before = 'delayed'
  call('HSET', job, 'delay', 0)
  call('XADD', KEYS[6], '*', 'event', 'waiting', 'jobId', id, 'prev', before)
end
if before then
  call('RPUSH', KEYS[3], id)
  call('ZADD', KEYS[5], 0, '0')
end
return 1
"""


async def request(redis: Redis, queue_key: str, engine_id: str) -> bool:
    """Ask for a job's end; False when there is no such job. Safe to repeat; one that has ended stays as it is."""
    keys = [f"{queue_key}:{name}" for name in (engine_id, "prioritized", "wait", "delayed", "marker", "events")]
    now_ms = str(round(time.time() * 1000))
    return bool(await cast("Awaitable[int]", redis.eval(_SCRIPT, len(keys), *keys, engine_id, CANCEL_FIELD, now_ms)))


async def remind(redis: Redis, queue_key: str, engine_id: str) -> None:
    """Have a job that was just put back end soon when its end was asked for while it ran; else nothing.

    Whoever asked found it running, and nobody looks at a job that is delayed. A server that does not
    answer is no trouble: then the next attempt ends it.
    """
    with suppress(RedisError, OSError):
        if await redis.hexists(f"{queue_key}:{engine_id}", CANCEL_FIELD):
            await request(redis, queue_key, engine_id)
