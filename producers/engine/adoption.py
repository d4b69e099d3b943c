"""How a job that anybody has added plainly gets what the API gives its jobs: a callback that its end makes due.

The callback becomes the job's parent in one transaction, as if they had been added as a flow. From then on
the engine's own scripts make it due with the job's end, whatever ends it. Two cases are not a flow:

- A job that is a **child of somebody else's flow** has its one parent. Its callback waits for it beside that
  flow, and ``Reconciliation`` makes it due.
- A job that **has ended** has nothing to wait for: its callback is due at once.

What would be removed as it ends is kept as long as ours are, for each try tells of it.
"""

import json
from dataclasses import dataclass

import structlog
from bullmq import Job, Queue
from redis.asyncio import Redis

from producers.engine.job_record import kind_of
from producers.engine.jobs import answering
from producers.engine.new_job import Keep, NewJob, options
from producers.engine.notice import notice, plain_callback_id
from schemas import job_id as ids
from schemas.envelope import KEY, Envelope, EnvelopeUnreadable
from schemas.jobs.callbacks import DELIVER

log = structlog.get_logger()

# The field of a job's hash that names its callback where that is not the job's parent.
CALLBACK_FIELD = "corralCallback"

# Safe to repeat, and with any number of others at it: what is tied stays so, and what was told is not told again.
# KEYS: the job, its callback. ARGV: the callbacks' keys' beginning, the callback's id, the parent as the engine
# writes it, CALLBACK_FIELD, the rule of keeping.
_TIE = """
local call, job, callback, home, id = redis.call, KEYS[1], KEYS[2], ARGV[1], ARGV[2]
local state = call('HMGET', job, 'name', 'finishedOn', 'parentKey', 'opts')
local parent = state[3] and state[3] ~= '' and state[3]
if not call('ZSCORE', home .. 'waiting-children', id) then return end
if state[1] and not parent and not state[2] then
  call('HSET', job, 'parentKey', callback, 'parent', ARGV[3])
elseif state[1] and parent ~= callback then
  call('HSET', job, ARGV[4], callback)
end
if state[1] and not state[2] then
  local read, options = pcall(cjson.decode, state[4] or '')
  for _, rule in ipairs(read and type(options) == 'table' and {'removeOnComplete', 'removeOnFail'} or {}) do
    if options[rule] then
      options[rule] = cjson.decode(ARGV[5])
      call('HSET', job, 'opts', cjson.encode(options))
    end
  end
  call('SADD', callback .. ':dependencies', job)
elseif call('SCARD', callback .. ':dependencies') == 0 and call('ZREM', home .. 'waiting-children', id) == 1 then
  call('LPUSH', home .. 'wait', id)
  call('ZADD', home .. 'marker', 0, '0')
  call('XADD', home .. 'events', '*', 'event', 'waiting', 'jobId', id, 'prev', 'waiting-children')
end
"""


@dataclass(frozen=True)
class Plain:
    """A job of the engine as anybody may have added it: what decides whether and how it gets a callback."""

    id: str
    name: str
    data: object
    parent_key: str | None


def asks(data: object) -> bool:
    """Tell at a glance whether a job may ask for a callback; most ask for none."""
    return isinstance(data, dict) and isinstance(beside := data.get(KEY), dict) and "callback" in beside


class Adoption:
    """Gives jobs their callbacks."""

    def __init__(self, redis: Redis, *, prefix: str, keep: Keep) -> None:
        """Write through ``redis``, which the caller closes; ended callbacks are kept by ``keep``."""
        self._redis = redis
        self._prefix = prefix
        self._keep = keep
        self._callbacks = Queue(DELIVER.queue, {"connection": redis, "prefix": prefix})
        self._home = f"{prefix}:{DELIVER.queue}:"

    async def adopt(self, queue: str, job: Plain) -> bool:
        """Give a job its callback and tell whether it asks for one. Safe to repeat, by many at once.

        Costs nothing for a job that asks for none. A callback that is in the server is left as it is.

        Raises:
            EngineUnavailable: the server did not confirm; it is safe to try again.
        """
        callback = self._callback(queue, job) if asks(job.data) else None
        if callback is not None:
            await self._tie(f"{self._prefix}:{queue}:{job.id}", callback)
        return callback is not None

    def is_callback(self, key: str | None) -> bool:
        """Tell whether a key of the engine is that of a callback."""
        return (key or "").startswith(self._home)

    async def _tie(self, job_key: str, callback: NewJob) -> None:
        made = Job(self._callbacks, callback.spec.kind, callback.data, options(callback, self._keep))
        parent = {"id": callback.id, "queueKey": self._home.removesuffix(":"), "idof": True}
        keys = [job_key, f"{self._home}{callback.id}"]
        args = [self._home, callback.id, json.dumps(parent), CALLBACK_FIELD, json.dumps(self._keep.rule)]
        async with answering(), self._redis.pipeline(transaction=True) as pipe:
            await made.backend.scripts.addParentJob(made, pipe)
            pipe.eval(_TIE, len(keys), *keys, *args)
            await pipe.execute()

    def _callback(self, queue: str, job: Plain) -> NewJob | None:
        job_id = ids.public(queue, job.id)
        try:
            envelope, _ = Envelope.unwrap(job.data)
        except EnvelopeUnreadable as error:
            reason = str(error)
        else:
            # A callback that was there and is gone comes back under its name.
            had = (
                job.parent_key.removeprefix(self._home) if self.is_callback(job.parent_key) and job.parent_key else None
            )
            return notice(job_id, kind_of(queue, job.name), envelope, notice_id=had or plain_callback_id(job_id))
        # The job fails with that, and whom to tell is what nobody can read.
        log.error("callback.unreadable", job_id=job_id, reason=reason)
        return None
