"""What each tenant has in the queues: the ids of its jobs that have not ended, and how many bytes they are.

The ledger is a hash per tenant, ``<prefix>:corral:open:<tenant>``, of job to bytes. It is written by the
transaction that adds the job, and nobody touches it when the job ends: that it has is read off the engine's
own record of it. Each add looks at a few jobs by chance and strikes those that have ended, so the hash
stays below about twice what is open; whoever is about to refuse has it looked through (``count``). A
count can therefore be too high until somebody looks, and never drifts. Both keys of a tenant end a week after
its last job.
"""

from dataclasses import dataclass
from typing import Any, cast

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

_KEEP_S = 8 * 24 * 3600
# Two a job that is added: in the long run twice as many as ever can have ended.
_LOOK_PER_ADD = 2
_LOOK_TO_COUNT = 2_000

_SCRIPT = """
local call = redis.call
local open, sums, prefix, member, look = KEYS[1], KEYS[2], ARGV[1], ARGV[2], tonumber(ARGV[3])
if member ~= '' then
  local bytes = call('HSTRLEN', prefix .. member, 'data')
  if bytes > 0 and call('HSETNX', open, member, bytes) == 1 then call('HINCRBY', sums, 'bytes', bytes) end
end
local seen, running = 0, 0
local found = call('HRANDFIELD', open, look, 'WITHVALUES')
for i = 1, #found, 2 do
  local key = prefix .. found[i]
  local job = call('HMGET', key, 'name', 'finishedOn')
  if not job[1] or job[2] then
    call('HDEL', open, found[i])
    call('HINCRBY', sums, 'bytes', -tonumber(found[i + 1]))
    call('HINCRBY', sums, 'ended', 1)
  elseif look > 2 then
    seen = seen + 1
    running = running + call('EXISTS', key .. ':lock')
  end
end
local jobs = call('HLEN', open)
if jobs == 0 then call('HDEL', sums, 'bytes') end
if seen > 0 then running = math.floor(running * jobs / seen + 0.5) end
if jobs == 1 or jobs % 16 == 0 then
  call('EXPIRE', open, ARGV[4])
  call('EXPIRE', sums, ARGV[4])
end
local known = call('HMGET', sums, 'bytes', 'ended')
return {jobs, tonumber(known[1]) or 0, tonumber(known[2]) or 0, running}
"""


@dataclass(frozen=True)
class Usage:
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
        self._script: Any = redis.register_script(_SCRIPT)

    async def note(self, pipe: Pipeline, member: str, tenant: str) -> None:
        """Enter a job, ``<queue>:<id>``, that ``pipe`` adds; ``learn`` takes the answer."""
        await self._run(tenant, member, _LOOK_PER_ADD, pipe)

    def learn(self, tenant: str, answer: list[int]) -> Usage:
        """Remember what the server said."""
        self.known[tenant] = usage = Usage(*answer)
        return usage

    async def count(self, tenant: str) -> Usage:
        """Strike out what has ended, and count. Exact up to 2,000 jobs; above, no more than so many are looked at."""
        return self.learn(tenant, await self._run(tenant, "", _LOOK_TO_COUNT, None))

    async def _run(self, tenant: str, member: str, look: int, pipe: Pipeline | None) -> list[int]:
        home = f"{self._prefix}:corral:open:{tenant}"
        keys, args = [home, f"{home}:sums"], [f"{self._prefix}:", member, look, _KEEP_S]
        return cast("list[int]", await self._script(keys=keys, args=args, client=pipe))
