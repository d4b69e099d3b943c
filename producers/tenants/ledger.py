"""What each tenant has in the queues: the ids of its jobs that have not ended, and how many bytes they are.

The ledger is a list per tenant, ``<prefix>:corral:ledger:<tenant>``, of each job with its bytes, and beside it their
sums. It is written by the script that adds the job, and nobody touches it when the job ends: that it has is read off
the engine's own record of it. One add in twelve looks at the sixteen jobs that nobody has looked at for longest,
strikes those that have ended and puts the others last. More looks than adds: so the list stays near what is open, and
below four times as much in whatever order jobs end. Whoever is about to refuse has it looked through (``count``). A
count can therefore be too high until somebody looks, and never drifts. Both keys of a tenant end a week after its
last jobs.
"""

import random
from typing import NamedTuple

from redis.asyncio import Redis

from producers.engine.joined_script import JoinedScripts, Part

_KEEP_S = 8 * 24 * 3600
_LOOK_EVERY, _LOOK = 12, 16
_LOOK_TO_COUNT = 2_000

# KEYS: the list, the sums. ARGV: the beginning of every key, the job to enter or '', how many to look at, _KEEP_S.
_SCRIPT = """
local call = redis.call
local ledger, sums, prefix, member, look = KEYS[1], KEYS[2], ARGV[1], ARGV[2], tonumber(ARGV[3])
local jobs, total
if member ~= '' then
  local bytes = call('HSTRLEN', prefix .. member, 'data')
  jobs = call('RPUSH', ledger, bytes .. ' ' .. member)
  total = call('HINCRBY', sums, 'bytes', bytes)
end
if jobs == 1 or look > 0 then
  call('EXPIRE', ledger, ARGV[4])
  call('EXPIRE', sums, ARGV[4])
end
if look == 0 then return {jobs, total} end
local oldest, open, running, ended, ended_bytes = call('LRANGE', ledger, 0, look - 1), {}, 0, 0, 0
for _, entry in ipairs(oldest) do
  local bytes, job = string.match(entry, '^(%d+) (.*)$')
  local known = call('HMGET', prefix .. job, 'name', 'finishedOn')
  if not known[1] or known[2] then
    ended, ended_bytes = ended + 1, ended_bytes + tonumber(bytes)
  else
    open[#open + 1] = entry
    if member == '' then running = running + call('EXISTS', prefix .. job .. ':lock') end
  end
end
-- In this order, for an empty list is gone, and its time to live with it.
if #open > 0 then call('RPUSH', ledger, unpack(open)) end
if #oldest > 0 then call('LPOP', ledger, #oldest) end
if ended > 0 then
  call('HINCRBY', sums, 'bytes', -ended_bytes)
  call('HINCRBY', sums, 'ended', ended)
end
jobs = call('LLEN', ledger)
if jobs == 0 then call('HDEL', sums, 'bytes') end
if #open > 0 then running = math.floor(running * jobs / #open + 0.5) end
local known = call('HMGET', sums, 'bytes', 'ended')
return {jobs, tonumber(known[1]) or 0, tonumber(known[2]) or 0, running}
"""


class Usage(NamedTuple):
    """What a tenant has in the queues: jobs that have not ended, their bytes, and how many of them run.

    ``ended`` counts, ever since, the jobs that were struck out.
    """

    jobs: int = 0
    bytes: int = 0
    ended: int = 0
    running: int = 0

    @property
    def queued(self) -> int:
        """Jobs that wait."""
        return self.jobs - self.running


class TenantLedger:
    """Keeps the books; ``known`` is what the last answer said of each tenant, as good as its age."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        """Know nothing yet of anybody."""
        self.known: dict[str, Usage] = {}
        self._prefix = prefix
        self._scripts = JoinedScripts(redis)

    def note(self, member: str, tenant: str) -> Part:
        """Enter a new job, ``<queue>:<id>``, that was just added; ``learn`` takes what it gives."""
        is_to_look = random.random() * _LOOK_EVERY < 1  # noqa: S311 - so that no process need count its adds
        return self._part(tenant, member, _LOOK if is_to_look else 0)

    def learn(self, tenant: str, answer: list[int]) -> Usage:
        """Remember what the server said; where nobody has looked, ``ended`` is as it was."""
        jobs, size_bytes, *looked = answer
        ended, running = looked or (self.known.get(tenant, Usage()).ended, 0)
        self.known[tenant] = usage = Usage(jobs, size_bytes, ended, running)
        return usage

    async def count(self, tenant: str) -> Usage:
        """Strike out what has ended, and count. Exact up to 2,000 jobs; above, no more than so many are looked at."""
        _, answer = await self._scripts.run(self._part(tenant, "", _LOOK_TO_COUNT))
        return self.learn(tenant, answer)

    def _part(self, tenant: str, member: str, look: int) -> Part:
        home = f"{self._prefix}:corral:ledger:{tenant}"
        return Part("note", _SCRIPT, [home, f"{home}:sums"], [f"{self._prefix}:", member, look, _KEEP_S])
