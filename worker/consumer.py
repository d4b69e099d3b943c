"""The worker's border with the engine: with ``engine_worker.py`` all on this side that knows BullMQ.

Jobs are fetched, locked and ended with the package's own scripts; its loop is not used, ``Runner``
says why. The engine's words (camelCase, milliseconds, its errors) end here.
"""

from typing import Any

from bullmq.custom_errors import UnrecoverableError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from producers.engine import cancel
from producers.engine.adoption import Adoption, Plain
from producers.engine.cancel import CANCEL_FIELD
from producers.engine.fairness import Fairness
from producers.engine.new_job import CHILD_OPTION
from schemas import job_id as ids
from schemas.callback_attempt import CallbackParked
from schemas.errors import ChildFailed, CorralError, EngineUnavailable
from schemas.job_status import Progress
from schemas.outcome import Cancelled, Completed, DeadLettered, Outcome, Retrying, Waiting
from worker import connection_name
from worker.consumer_options import ConsumerOptions
from worker.engine_job import EngineJob
from worker.engine_worker import ChildrenLeftError, EngineWorker
from worker.taken_job import TakenJob

BLOCK_S = 5.0
_KEEP_LOGS = 1_000

# A line for a job that is gone would leave a list that nobody owns: look and write in one step.
_APPEND_LOG = """
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('RPUSH', KEYS[2], ARGV[1])
  redis.call('LTRIM', KEYS[2], -ARGV[2], -1)
end
"""


class LockLost(CorralError):  # noqa: N818 - named for what may be done about it: nothing
    """The job is no longer this worker's to end. Remedy: none, whoever has it now answers for it."""

    code = "lock_lost"


class Consumer:
    """What can be done with the jobs of one queue.

    Every method raises EngineUnavailable when the server does not answer, and LockLost when a
    script finds the job in other hands or gone.
    """

    def __init__(self, redis: Redis, options: ConsumerOptions) -> None:
        """Read through ``redis``, a patient client that the caller closes."""
        self.options = options
        self._redis = redis
        self._home = f"{options.prefix}:{options.queue}"
        self._fairness = Fairness(redis, options.tenant_weights)
        self._worker = EngineWorker(options.queue, None, _engine_options(redis, options))
        self._keep = options.kept.rule
        self._adoption = Adoption(redis, prefix=options.prefix, keep=options.kept)

    @property
    def stopping(self) -> bool:
        """Nothing is to be taken any more."""
        return bool(self._worker.closing)

    async def open(self) -> None:
        """Learn the server's version: without it delayed jobs come up to a second late."""
        with _translated:
            await self._worker.blockingRedisConnection.getRedisVersion()
            name = connection_name.of_worker(self.options.prefix, self.options.queue, self.options.name)
            await connection_name.give(self._redis, name)

    async def take(self) -> TakenJob | None:
        """Wait for a job for up to ``BLOCK_S``; None when there was none, or on ``stop``."""
        try:
            with _translated:
                # A token of its own for each job: one that is shared cannot tell two runners apart.
                return await self._taken(await self._worker.getNextJob(self._worker.new_token()))
        except EngineUnavailable:
            # The sign that a job is there may have been taken in vain: look at once, before waiting for one.
            self._worker.drained = False
            raise

    async def adopt(self, taken: TakenJob) -> None:
        """Give a job that was added plainly the callback that it asks for, and keep what that tells of."""
        job = taken.job
        plain = Plain(job.id, job.name, job.data, job.parent_key)
        if self._adoption.is_callback(job.parent_key) or not await self._adoption.adopt(self.options.queue, plain):
            return
        for rule in ("removeOnComplete", "removeOnFail"):
            if job.opts.get(rule, False) is not False:
                job.opts[rule] = self._keep

    def stop(self) -> None:
        """Wake ``take``, and have it wait no more."""
        self._worker.closing = True
        if self._worker.waiting is not None:
            self._worker.waiting.cancel()

    async def end(self, taken: TakenJob, outcome: Outcome) -> TakenJob | None:
        """Write how an attempt ended and, in the same call, take the next job if one is there.

        Safe to repeat: once it is written the lock is gone.
        """
        with _translated:
            match outcome:
                case Completed():
                    following = await self._complete(taken.job, outcome.value_json)
                case Retrying(error, delay_s):
                    fields = {"fieldsToUpdate": _reason(error), "skipAttempt": isinstance(error, CallbackParked)}
                    delay_ms = max(round(delay_s * 1000), 1)
                    following = await self._worker.delay(taken.job, delay_ms, fields, fetch=not self.stopping)
                    await cancel.remind(self._redis, self._home, taken.job.id)
                case DeadLettered(error) | Cancelled(error):
                    following = await self._fail(taken.job, error)
                case Waiting():
                    following = await self._await_children(taken.job)
            return await self._taken(following)

    async def hand_back(self, taken: TakenJob) -> None:
        """Let another worker have the job at once; the attempt does not count."""
        with _translated:
            await self._worker.delay(taken.job, 0, {"skipAttempt": True}, fetch=False)

    async def unheard_of(self) -> list[TakenJob]:
        """Give the jobs that are locked by this worker, which runs none: taken by calls whose answer nobody heard."""
        with _translated:
            jobs = await self._worker.locked()
        return [TakenJob(job, ids.public(self.options.queue, job.id), cancel_requested=False) for job in jobs]

    async def renew(self, held: list[TakenJob]) -> list[TakenJob]:
        """Renew the locks of jobs and give those whose lock is lost."""
        job_ids, tokens = [one.job.id for one in held], [one.job.token for one in held]
        with _translated:
            lost = await self._worker.backend.extendLocks(job_ids, tokens, self._worker.opts["lockDuration"])
        return [one for one in held if one.job.id in lost]

    async def find_stalled(self) -> list[str]:
        """Put dead workers' jobs back, or give them up after as many crashes as allowed; tell which."""
        allowed, every_ms = self.options.crashes - 1, round(self.options.watch_s * 1000)
        with _translated:
            found = await self._worker.backend.moveStalledJobsToWait(allowed, every_ms)
        return [ids.public(self.options.queue, engine_id) for engine_id in found]

    async def level(self) -> None:
        """Give retries, due jobs and plain ones their place among tenants, where somebody is fair."""
        with _translated:
            await self._fairness.level(self._home)

    async def cancelled(self, held: list[TakenJob]) -> list[TakenJob]:
        """Give those jobs whose end somebody has asked for."""
        pipe = self._redis.pipeline(transaction=False)
        for one in held:
            pipe.hexists(self._key(one), CANCEL_FIELD)
        children = [one for one in held if CHILD_OPTION in one.job.opts]
        for one in children:
            cancel.moot(pipe, one.job.parent_key or "")
        with _translated:
            found = await pipe.execute()
        moot = {one for one, flag in zip(children, found[len(held) :], strict=True) if flag}
        return [one for one, flag in zip(held, found[: len(held)], strict=True) if flag or one in moot]

    async def set_progress(self, taken: TakenJob, progress: Progress) -> None:
        """Write how far a job is, and publish it."""
        with _translated:
            await self._worker.scripts.updateProgress(taken.job.id, progress.model_dump())

    async def append_log(self, taken: TakenJob, line: str) -> None:
        """Add a line to the job's log, unless the job is gone."""
        key = self._key(taken)
        with _translated:
            await self._worker.client.eval(_APPEND_LOG, 2, key, f"{key}:logs", line, _KEEP_LOGS)

    async def _complete(self, job: EngineJob, value_json: str) -> EngineJob | None:
        keep = job.opts.get("removeOnComplete", self._keep)
        try:
            return await self._worker.complete(job, value_json, keep=keep, fetch=not self.stopping)
        except ChildrenLeftError:
            # Its handler did not wait for them. It is attempted anew, for its end is not before theirs.
            return await self._await_children(job)
        except UnrecoverableError:
            return await self._fail(job, ChildFailed("a job that this one waited for has failed"))

    async def _await_children(self, job: EngineJob) -> EngineJob | None:
        if await self._worker.backend.moveToWaitingChildren(job.id, job.token, {}):
            return None
        # They have all ended in the meantime, so it is due at once.
        return await self._worker.delay(job, 0, {"skipAttempt": True}, fetch=not self.stopping)

    async def _fail(self, job: EngineJob, error: CorralError) -> EngineJob | None:
        keep = job.opts.get("removeOnFail", self._keep)
        return await self._worker.fail(job, _reason(error), keep=keep, fetch=not self.stopping)

    async def _taken(self, job: EngineJob | None) -> TakenJob | None:
        if job is None:
            return None
        cancel_requested = CANCEL_FIELD in job.record
        if CHILD_OPTION in job.opts and not cancel_requested:
            cancel_requested = bool(await cancel.moot(self._redis, job.parent_key or ""))
        return TakenJob(job, ids.public(self.options.queue, job.id), cancel_requested=cancel_requested)

    def _key(self, taken: TakenJob) -> str:
        return str(self._worker.backend.toKey(taken.job.id))


def _engine_options(redis: Redis, options: ConsumerOptions) -> dict[str, Any]:
    return {
        "connection": redis,
        "prefix": options.prefix,
        "name": options.name,
        "autorun": False,
        "drainDelay": BLOCK_S,
        "lockDuration": round(options.lock_s * 1000),
    }


def _reason(error: CorralError) -> dict[str, str]:
    # What the engine stores anybody may read who reads the job: the public line, and no trace.
    return {"failedReason": str(error.public()), "stacktrace": "[]"}


class _Translated:
    """The engine's errors in our words; a class, for this is passed several times a job."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, RedisError | OSError):
            raise EngineUnavailable(f"the queue's server does not answer ({type(error).__name__}: {error})") from error
        if isinstance(error, TypeError):
            # The package's class for a script that says no: the lock, the job or its place is gone.
            raise LockLost(f"the job is in other hands ({error})") from error


_translated = _Translated()
