"""The engine's worker with what makes it fast: one script call ends a job and takes the next, under a lock of its own.

All that leans on private parts of the ``bullmq`` package for this is in this file. The package's script can
fetch the next job, but would lock it with the token of the job before; one line of it is changed, and
a package whose script is not the one that was read is refused (`finish_script`).
"""

import asyncio
import time
from contextlib import suppress
from hashlib import sha256
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

import bullmq
from bullmq import Worker
from bullmq.job_scheduler import JobScheduler
from bullmq.scripts import msgpack

from producers.engine.known_script import KnownScript
from producers.engine.schedulers import scheduler
from schemas.errors import Misconfigured
from worker.engine_job import EngineJob

_VERSION = "3.4.4"
_LIMITED_LOOK_MS = 250
_SCRIPT = Path(bullmq.__file__).parent / "commands" / "moveToFinished-14.lua"
_SCRIPT_SHA256 = "8e744ec5d65dbe9e7ffb6e39a96c0268bba65e4f0b1d04e2d2a42ccb71b45a6d"
_LOCKS = """rcall("SET", lockKey, opts['token'], "PX", opts['lockDuration'])"""
_LOCKS_APART = """rcall("SET", lockKey, opts['nextToken'] or opts['token'], "PX", opts['lockDuration'])"""
_KEYS = ["wait", "active", "prioritized", "events", "stalled", "limiter", "delayed", "paused", "meta", "pc"]
# The script's words: the name of the target set and of the field that takes the value.
_CHILDREN_LEFT = -4
_COMPLETED = ("completed", "returnvalue")
_FAILED = ("failed", "failedReason")
_PARENT_RULES = {
    "fpof": "failParentOnFailure",
    "cpof": "continueParentOnFailure",
    "idof": "ignoreDependencyOnFailure",
    "rdof": "removeDependencyOnFailure",
}


class ChildrenLeftError(Exception):
    """The job cannot be completed: it has children that have not ended."""


def finish_script() -> str:
    """Give the package's script with a lock of its own for the job that it fetches.

    Raises:
        Misconfigured: the installed package is not the one that this file was written for.
    """
    text = _SCRIPT.read_text()
    if version("bullmq") != _VERSION or sha256(text.encode()).hexdigest() != _SCRIPT_SHA256 or text.count(_LOCKS) != 1:
        raise Misconfigured(f"bullmq is {version('bullmq')}, or changed; install exactly {_VERSION}")
    return text.replace(_LOCKS, _LOCKS_APART)


class EngineWorker(Worker):  # type: ignore[misc]  # the package has no types
    """The package's worker, to be driven by a loop that is not the package's.

    Each method that ends a job gives the next one when ``fetch`` is asked for and one is there: it is
    active, and locked under a token that no other job has. The queue's pause, its limits of rate and
    concurrency, and delayed jobs that are due are the script's, as for a job that is fetched alone.
    Each raises TypeError, the package's class, when the lock is not the job's any more.
    """

    def __init__(self, name: str, processor: Any, opts: dict[str, Any]) -> None:  # noqa: ANN401 - the package's
        """Do as the package does, and load the script."""
        super().__init__(name, processor, opts)
        self._finish = KnownScript(self.client, finish_script())
        self._tokens = count()
        keys = self.scripts.keys
        self._finish_keys = [keys[key] for key in _KEYS]
        self._finish_marker, self._finish_prefix = keys["marker"], keys[""]
        self._finish_limits = {"limiter": opts.get("limiter"), "lockDuration": self.opts["lockDuration"]}
        self._finish_limits["maxMetricsSize"] = (opts.get("metrics") or {}).get("maxDataPoints", "")
        # The scripts leave it on the job; Node shows it as `processedBy`, and the package forgets it.
        self._finish_limits["name"] = opts.get("name")

    def new_token(self) -> str:
        """Make the token of a lock that no other job has."""
        return f"{self.id}:{next(self._tokens)}"

    @property
    def jobScheduler(self) -> JobScheduler:  # noqa: N802 - the package's
        """The package's scheduler, with our reckoning of time."""
        return scheduler(self)

    async def moveToActive(self, token: str) -> EngineJob | None:  # noqa: N802 - the package's
        """Take a job as the package does, with this worker's name on it."""
        keys = self.scripts.getKeys([*_KEYS, "marker"])
        args = [self._finish_prefix, round(time.time() * 1000), msgpack.packb({**self._finish_limits, "token": token})]
        return await self._taken(await self.scripts.commands["moveToActive"](keys=keys, args=args), token)

    async def complete(self, job: EngineJob, value_json: str, *, keep: object, fetch: bool) -> EngineJob | None:
        """Record a result, already encoded, and give the next job. ``keep`` is a rule as jobs carry it."""
        return await self._end(job, _COMPLETED, value_json, keep, fetch=fetch)

    async def fail(self, job: EngineJob, fields: dict[str, str], *, keep: object, fetch: bool) -> EngineJob | None:
        """Record that a job has failed for good, and give the next job. ``fields`` has its ``failedReason``."""
        return await self._end(job, _FAILED, fields["failedReason"], keep, fetch=fetch, fields=fields)

    async def delay(self, job: EngineJob, delay_ms: int, options: dict[str, Any], *, fetch: bool) -> EngineJob | None:
        """Put a job back for later, and give the next job; ``options`` are the package's of ``moveToDelayed``."""
        token, scripts = self.new_token(), self.scripts
        wanted = {**options, "fetchNext": fetch, "workerOpts": self.opts}
        keys, args = scripts.moveToDelayedArgs(job.id, round(time.time() * 1000), job.token, delay_ms, wanted)
        if fetch:
            args[-1] = msgpack.packb({**self._finish_limits, "token": token})
        reply = await scripts.commands["moveToDelayed"](keys=keys, args=args)
        return await self._next(job, reply, token, "moveToDelayed") if reply != 0 else None

    async def locked(self) -> list[EngineJob]:
        """Give the active jobs that are locked by this worker: their ids and tokens, and nothing else of them."""
        job_ids = await self.client.lrange(self.scripts.keys["active"], 0, -1)
        locks = [f"{self._finish_prefix}{job_id}:lock" for job_id in job_ids]
        tokens = await self.client.mget(locks) if locks else []
        found = zip(job_ids, tokens, strict=True)
        return [EngineJob(job_id, token, {}) for job_id, token in found if (token or "").startswith(f"{self.id}:")]

    async def getNextJob(self, token: str) -> EngineJob | None:  # noqa: N802 - the package's
        """Do as the package does, but wait while the queue's limit of rate holds.

        The package's blocking read knows nothing of the limit and sleeps through its end. The wait is
        cut in short ones: the limit may be lifted, and a worker stopped.
        """
        limited_ms = self._limited_ms()
        if limited_ms > 0 and not self.closing:
            await asyncio.sleep(min(limited_ms, _LIMITED_LOOK_MS) / 1000)
            self.drained = False
        found: EngineJob | None = await super().getNextJob(token)
        return found

    def _limited_ms(self) -> float:
        limited_ms = vars(self)["limitUntil"]
        self.limitUntil = 0  # known from the last look, and good for one wait
        return float(limited_ms)

    async def _end(
        self,
        job: EngineJob,
        target: tuple[str, str],
        value: str,
        keep: object,
        *,
        fetch: bool,
        fields: dict[str, str] | None = None,
    ) -> EngineJob | None:
        state, value_field = target
        token, prefix = self.new_token(), self._finish_prefix
        packed = {
            **self._finish_limits,
            **(_parent_rules(job.opts) if job.parent_key else {}),
            "token": job.token,
            "nextToken": token,
            "keepJobs": _kept(keep),
            "attempts": job.attempts,
            "attemptsMade": job.attempts_made,
        }
        keys = [*self._finish_keys, f"{prefix}{state}", f"{prefix}{job.id}", f"{prefix}metrics:{state}"]
        keys.append(self._finish_marker)
        args = [job.id, round(time.time() * 1000), value_field, value, state, "1" if fetch else "", prefix]
        args.append(msgpack.packb(packed))
        if fields:
            args.append(msgpack.packb([part for pair in fields.items() for part in pair]))
        reply = await self._finish.run(len(keys), *keys, *args)
        return await self._next(job, reply, token, "moveToFinished") if fetch or reply != 0 else None

    async def _next(self, job: EngineJob, reply: Any, token: str, command: str) -> EngineJob | None:  # noqa: ANN401 - the script's
        if reply == _CHILDREN_LEFT:
            raise ChildrenLeftError
        if isinstance(reply, int) and reply < 0:
            raise self.scripts.finishedErrors({"code": reply, "jobId": job.id, "command": command, "state": "active"})
        return await self._taken(reply, token)

    async def _taken(self, reply: Any, token: str) -> EngineJob | None:  # noqa: ANN401 - the script's
        # Fields and values in turn, the id, until when a limit of rate holds, when a delayed job is due.
        fields, job_id, limited_ms, due_ms = (*(reply or ()), *(None,) * 4)[:4]
        self.drained = not fields
        # Also when there is none: the package waits for a sign of the next one from then on.
        self.blockUntil = int(due_ms or 0)
        job = None
        if fields:
            record = dict(zip(fields[::2], fields[1::2], strict=True))
            job = EngineJob.read(job_id, token, record)
            if "rjk" in record:
                await self._advance_scheduler(record, job_id)
        self.limitUntil = max(int(limited_ms or 0), 0)
        return job

    async def _advance_scheduler(self, record: dict[str, str], job_id: str) -> None:
        # A job of a scheduler brings forth the next one: the package's own way, and so its own reading of the job.
        with suppress(ValueError, TypeError, AttributeError, RecursionError):
            await self.nextJobFromJobData(record, job_id)


def _parent_rules(opts: dict[str, Any]) -> dict[str, bool]:
    return {short: True for short, name in _PARENT_RULES.items() if opts.get(short) or opts.get(name)}


def _kept(rule: object) -> object:
    """Translate what a job says of its being kept, as the package does: all, none, a number, or a rule."""
    if isinstance(rule, bool) or rule is None:
        return {"count": 0 if rule else -1}
    return {"count": rule} if isinstance(rule, int) else rule
