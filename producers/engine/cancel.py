"""How a wish that a job should end is written down: one field of the job, and a place at the head of its line.

A worker that runs the job looks for the field; one that takes it later ends it unrun. Lest its owner wait
for that, a job that waits or is delayed moves to where the next worker takes it from: the end of the
engine's plain list that is emptied first. All in one script, so a job is never in two places or in none.

A job that others were added for (the port ``Children``) takes them along, and theirs. Two ways lead to each, so none
is missed whoever dies: the wish is written down for the whole family, from the job downwards; and a worker that takes
or runs one of them looks upwards (``moot``), as far as there is a job that it was added for.
"""

import time
from collections.abc import Awaitable
from contextlib import suppress
from typing import cast

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import RedisError

from producers.engine.new_job import CHILD_OPTION

# The field of a job's hash that says when somebody asked for its end; the worker looks for it.
CANCEL_FIELD = "corralCancelledAt"
# The server does nothing else while it runs the script; so many jobs take it about 5 ms.
_BATCH = 200

# A flag on a job that is gone would leave a hash that nobody owns; one on a job that has ended would
# end it again when somebody has it done anew. A child is never looked for in the plain list, which is long to
# look through: it has a place among tenants, or is at the list's head already. What a flow has for a
# child without the option is a job of its own.
_SCRIPT = """
local call, field, now, option = redis.call, ARGV[1], ARGV[2], ARGV[3]
local found, below = 0, {}
local function ask(job, id)
  local known = call('HMGET', job, 'name', 'finishedOn', 'opts')
  if not known[1] or not string.find(known[3] or '', option, 1, true) then return end
  found = found + 1
  if known[2] then return end
  call('HSET', job, field, now)
  local home = string.sub(job, 1, -#id - 1)
  local before
  if call('ZREM', home .. 'prioritized', id) == 1 then
    before = 'prioritized'
  elseif option == '' and call('LREM', home .. 'wait', 1, id) == 1 then
    before = 'waiting'
  elseif call('ZREM', home .. 'delayed', id) == 1 then
    before = 'delayed'
    call('HSET', job, 'delay', 0)
    call('XADD', home .. 'events', '*', 'event', 'waiting', 'jobId', id, 'prev', before)
  end
  if before then
    call('RPUSH', home .. 'wait', id)
    call('ZADD', home .. 'marker', 0, '0')
  end
  for _, child in ipairs(call('SMEMBERS', job .. ':dependencies')) do table.insert(below, child) end
end
for i, job in ipairs(KEYS) do ask(job, ARGV[3 + i]) end
return {found, below}
"""

# The bound is for what no handler makes: jobs that were forged to be each other's parents.
_MOOT = """
local job = KEYS[1]
for _ = 1, 100 do
  local known = redis.call('HMGET', job, ARGV[1], 'finishedOn', 'parentKey', 'opts')
  if known[1] or known[2] then return 1 end
  if not known[3] or not string.find(known[4] or '', ARGV[2], 1, true) then return 0 end
  job = known[3]
end
return 0
"""


async def request(redis: Redis, queue_key: str, engine_id: str) -> bool:
    """Ask for a job's end, and that of all that was added for it; False when there is no such job.

    Safe to repeat; a job that has ended stays as it is. When the caller dies in the middle, what runs or is taken
    still ends; what is delayed then ends when it is due, or when somebody asks again.
    """
    found, below = await _flag(redis, {f"{queue_key}:{engine_id}": engine_id}, "")
    while below:
        batch, below = below[:_BATCH], below[_BATCH:]
        _, further = await _flag(redis, {key: key.rpartition(":")[2] for key in batch}, CHILD_OPTION)
        below += further
    return found > 0


async def remind(redis: Redis, queue_key: str, engine_id: str) -> None:
    """Have a job that was just put back end soon when its end was asked for while it ran; else nothing.

    Whoever asked found it running, and nobody looks at a job that is delayed. A server that does not
    answer is no trouble: then the next attempt ends it.
    """
    with suppress(RedisError, OSError):
        if await redis.hexists(f"{queue_key}:{engine_id}", CANCEL_FIELD):
            await request(redis, queue_key, engine_id)


def moot(redis: Redis | Pipeline, parent_key: str) -> Awaitable[int]:
    """Ask whether nobody wants a child any more (1), or somebody may (0): a job above it is to end, or has ended.

    None of them can have completed before the child.
    """
    return cast("Awaitable[int]", redis.eval(_MOOT, 1, parent_key, CANCEL_FIELD, CHILD_OPTION))


async def _flag(redis: Redis, jobs: dict[str, str], option: str) -> tuple[int, list[str]]:
    now_ms = str(round(time.time() * 1000))
    asked = redis.eval(_SCRIPT, len(jobs), *jobs, CANCEL_FIELD, now_ms, option, *jobs.values())
    return await cast("Awaitable[tuple[int, list[str]]]", asked)
