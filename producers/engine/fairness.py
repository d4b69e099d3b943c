"""Who is next when several tenants wait in one queue: start-time fair queueing on the engine's own priorities.

The algorithm is SFQ (Goyal, Vin, Cheng: Start-time Fair Queueing, SIGCOMM 1996), with a job as the unit of work:

- The virtual time V of a queue is the start tag of the job that is next in it.
- A job of tenant f gets the start tag S = max(V, F), and F, the tenant's finish tag, becomes S + 1 / weight.
- The job with the smallest start tag is next; of equal ones the one that came first.

So a tenant who comes late starts at V, beside the head of the longest line, and a tenant's own jobs stay in
their order, for its tags only grow. While two tenants wait, what they were given, divided by their weights,
differs by at most 1/w1 + 1/w2 jobs (theorem 1 there).

The tag becomes the engine's priority (small first), and the engine's counter breaks ties, so any worker,
Node's too, takes the jobs in this order. The tag is set by a part of the script that adds the job: no round
trip more, and nobody sees a job without a tag. V is read off the engine's own sorted set, so it cannot drift;
the finish tags lie in one hash per queue, are forgotten when nobody waits, and a day and a week after at the latest.

What comes past that script is put in its place by the next add to the queue, or by ``level``:

- Jobs that **come back** (retries, delayed jobs that are due) re-enter with priority 1, before all tags. They go to
  the end of their own tenant's line, as a retry in plain BullMQ goes to the end of the one line.
- **Plain jobs**, as a Node program adds them, wait in the engine's list that is emptied before any priority, so
  they are never starved; lest they starve the others, they get a tag as jobs of the tenant in their
  envelope, or of the default one.
- Jobs that were **interrupted** by a stop or a death of their worker, or are to be cancelled, stay first.
- Jobs with a **priority of their own** keep it.

Priorities end at 2**21. Tags begin anew whenever nobody waits; a queue that was never empty for a million
jobs has all its tags moved down by one script, unless so many wait (20,000) that the server would stand
still: then the last tag is shared, first come first served, until it has become shorter.
"""

import json
from collections.abc import Mapping

from redis.asyncio import Redis

from producers.engine.cancel import CANCEL_FIELD
from producers.engine.joined_script import JoinedScripts, Part
from schemas.envelope import DEFAULT_TENANT

# What a job that was never tagged, or comes back, waits with; tags begin above.
FIRST = 1
MARK = "corralTenant"
_KEEP_S = 8 * 24 * 3600

_SCRIPT = """
local call = redis.call
local UNIT, LAST, FIRST_TAG = 4294967296, 2097151, 2
local REBASE_AT, REBASE_MOST, BACK_MOST, PLAIN_MOST = 1048576, 20000, 2000, 5000
local prioritized, counter, wait, fair = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local prefix, id, tenant, default, mark = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local weights = ARGV[6] ~= '{}' and cjson.decode(ARGV[6]) or {}

local now, last, finish, somebody_came_back, is_new

local function clock()
  -- The job itself is there already, first of all unless others have come back.
  local two = call('ZRANGE', prioritized, 0, 1, 'WITHSCORES')
  local head, score = two[3], tonumber(two[4])
  if two[1] ~= id or (score and score < FIRST_TAG * UNIT) then
    somebody_came_back = true
    local found = call('ZRANGEBYSCORE', prioritized, FIRST_TAG * UNIT, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
    head, score = found[1], tonumber(found[2])
  end
  if not head then
    call('DEL', fair)
    now, last, finish, is_new = 0, 0, 0, true
    return
  end
  now = math.floor(score / UNIT) - FIRST_TAG
  local known = call('HMGET', fair, 'last', 't:' .. tenant)
  last, finish = tonumber(known[1]), tonumber(known[2]) or 0
  if not last then
    last, is_new = call('HEXISTS', prefix .. head, mark) == 1 and now or 0, true
  end
  -- A priority that is somebody's own may lie anywhere: it must not set the time.
  now = math.min(now, last)
end

local function line_up(of, start)
  local ends = math.max(now, start) + 1 / (weights[of] or 1)
  last = math.max(last, ends)
  call('HSET', fair, 't:' .. of, string.format('%.17g', ends), 'last', string.format('%.17g', last))
  return math.min(math.floor(math.max(now, start)) + FIRST_TAG, LAST)
end

local function place(job, of)
  local start = tonumber(call('HGET', fair, 't:' .. of)) or 0
  call('ZADD', prioritized, line_up(of, start) * UNIT + call('INCR', counter) % UNIT, job)
end

local function owner(job)
  local data = call('HGET', prefix .. job, 'data')
  if data and string.find(data, '"_corral"', 1, true) then
    local read, content = pcall(cjson.decode, data)
    local envelope = read and type(content) == 'table' and content['_corral']
    if type(envelope) == 'table' and type(envelope['tenant']) == 'string' then return envelope['tenant'] end
  end
  return default
end

-- Whoever was interrupted, by a stop or a death of its worker, or is to end, is next and stays it.
local function look(job)
  local found = call('HMGET', prefix .. job, 'name', mark, 'ats', 'atm', ARGV[8])
  local interrupted = (tonumber(found[3]) or 0) > (tonumber(found[4]) or 0)
  return found[1] and not (interrupted or found[5]), found[2]
end

local function take_back()
  local back = call('ZRANGEBYSCORE', prioritized, '-inf', '(' .. FIRST_TAG * UNIT, 'LIMIT', 0, BACK_MOST)
  for _, job in ipairs(back) do
    local movable, of = look(job)
    if movable and of then place(job, of) end
  end
end

local function take_in()
  local plain, first = call('RPOP', wait, PLAIN_MOST) or {}, {}
  for _, job in ipairs(plain) do
    local movable, of = look(job)
    if movable then
      of = of or owner(job)
      call('HSET', prefix .. job, mark, of, 'priority', 1)
      place(job, of)
    else
      table.insert(first, 1, job)
    end
  end
  for _, job in ipairs(first) do call('RPUSH', wait, job) end
end

local function rebase()
  if call('ZCARD', prioritized) > REBASE_MOST then return end
  local waiting = call('ZRANGEBYSCORE', prioritized, (now + FIRST_TAG) * UNIT, '+inf', 'WITHSCORES')
  for i = 1, #waiting, 2 do call('ZADD', prioritized, tonumber(waiting[i + 1]) - now * UNIT, waiting[i]) end
  local tags = call('HGETALL', fair)
  for i = 1, #tags, 2 do
    local left = tonumber(tags[i + 1]) - now
    if left > 0 then call('HSET', fair, tags[i], string.format('%.17g', left)) else call('HDEL', fair, tags[i]) end
  end
  last, finish, now = math.max(last - now, 0), math.max(finish - now, 0), 0
  is_new = true
end

if id == '' then
  if call('EXISTS', fair) == 0 then return end
  clock()
  if is_new then return end
  take_in()
  return take_back()
end
local score = tonumber(call('ZSCORE', prioritized, id) or '')
if not score then
  -- It is delayed, or waits for others: it will be one that comes back.
  if call('EXISTS', prefix .. id) == 1 then call('HSET', prefix .. id, mark, tenant) end
  return
end
-- One of a known id was there before; it has its place.
if call('HSETNX', prefix .. id, mark, tenant) == 0 then return end
clock()
if now >= REBASE_AT then rebase() end
if call('LLEN', wait) > 0 then
  take_in()
  finish = tonumber(call('HGET', fair, 't:' .. tenant)) or 0
end
call('ZADD', prioritized, line_up(tenant, finish) * UNIT + score % UNIT, id)
if somebody_came_back then take_back() end
if is_new or score % 64 == 0 then call('EXPIRE', fair, ARGV[7]) end
"""


class Fairness:
    """Gives each added job its place among the tenants."""

    def __init__(self, redis: Redis, weights: Mapping[str, float] | None = None) -> None:
        """Use ``weights`` for tenants who get more than 1, or less."""
        self._weights = json.dumps(dict(weights or {}))
        self._scripts = JoinedScripts(redis)

    def place(self, queue_key: str, job_id: str, tenant: str) -> Part:
        """Place a job that was just added with priority ``FIRST``; ``queue_key`` is ``<prefix>:<queue>``."""
        keys = [f"{queue_key}:{name}" for name in ("prioritized", "pc", "wait", "fair")]
        args = [f"{queue_key}:", job_id, tenant, DEFAULT_TENANT, MARK, self._weights, _KEEP_S, CANCEL_FIELD]
        return Part("place", _SCRIPT, keys, args)

    async def level(self, queue_key: str) -> None:
        """Put what came past ``place`` in its place, where somebody has used it; cheap where there is nothing."""
        await self._scripts.run(self.place(queue_key, "", DEFAULT_TENANT))
