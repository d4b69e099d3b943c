"""The border with the engine on the way in: how jobs are added, read and asked to end.

The engine's words (camelCase, milliseconds, its names of states) end here.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, cast

from bullmq import Queue
from redis.asyncio import Redis
from redis.exceptions import RedisError

from producers.engine import adding, cancel
from producers.engine.adding import Adding
from producers.engine.cancel import CANCEL_FIELD
from producers.engine.job_record import record
from producers.engine.joined_script import JoinedScripts, Part
from producers.engine.new_job import Claim, Keep, NewJob, Parent, options
from producers.engine.remembered import remembered
from producers.engine.tenants import ALL_ALIKE, Tenants
from schemas import job_id as ids
from schemas.errors import EngineUnavailable
from schemas.job_status import JobRecord

__all__ = ["CANCEL_FIELD", "Claim", "Engine", "NewJob", "Tenants", "answering"]

# Under way at one time, so that whoever shares the connection is not kept waiting.
_CHILDREN_AT_ONCE = 200


class Engine:
    """Adds jobs to the queues and reads them back."""

    def __init__(
        self,
        redis: Redis,
        *,
        prefix: str,
        keep_finished_s: int,
        keep_finished_count: int | None = None,
        tenants: Tenants = ALL_ALIKE,
    ) -> None:
        """Speak through ``redis``, a fail-fast client that the caller closes."""
        self._redis = redis
        self._prefix = prefix
        self._keep = Keep(keep_finished_s, keep_finished_count)
        self._tenants = tenants
        self._queues: dict[str, Queue] = {}
        self._lines: dict[str, Adding] = {}
        self._scripts = JoinedScripts(redis)

    async def add(self, job: NewJob, claim: Claim | None = None) -> str | None:
        """Write a job of a new id with all that belongs to it, as a whole or not at all.

        With a ``claim`` nothing is written where its key is taken: then what it holds is given.

        Raises:
            EngineUnavailable: the server did not confirm; the job may or may not be there.
        """
        guards = [] if claim is None else [adding.unless_claimed(claim.key, claim.value, claim.ttl_s)]
        ended_by, given = await self._add(job, guards)
        return cast("str", given) if ended_by == adding.CLAIMED else None

    async def add_children(self, jobs: Sequence[NewJob]) -> int:
        """Write those of a job's children (``child_of``) that are not there, and tell how many. Safe to repeat.

        Who dies in between adds the others by the next try.

        Raises:
            EngineUnavailable: the server did not confirm, or has no such parent; it is safe to try again.
        """
        added = 0
        for at in range(0, len(jobs), _CHILDREN_AT_ONCE):
            answers = await asyncio.gather(*[self._add_child(job) for job in jobs[at : at + _CHILDREN_AT_ONCE]])
            added += sum(answers)
        return added

    async def _add_child(self, job: NewJob) -> bool:
        ended_by, _ = await self._add(job, [adding.unless_there(self._key(job.spec.queue, job.id))])
        return ended_by != adding.THERE

    async def read(self, job_id: str) -> JobRecord | None:
        """Give a job as it is now, or None when there is none of that id.

        Raises:
            EngineUnavailable: the server does not answer.
        """
        if not (queue := ids.queue_of(job_id)):
            return None
        async with answering():
            engine_id, raw = await self._find(queue, job_id)
            if not raw:
                return await remembered(self._redis, self._prefix, queue, job_id)
            state = await self._queue(queue).getJobState(engine_id)
            if state in {"completed", "failed"} and "finishedOn" not in raw:
                # It ended between the two reads.
                engine_id, raw = await self._find(queue, job_id)
        return record(queue, engine_id, raw, state)

    async def request_cancel(self, job_id: str) -> bool:
        """Ask for a job's end; False when there is no such job.

        A worker that runs the job sees the request within a second; one that waits or is delayed is
        the next to be taken, and ends before it begins.
        """
        queue = ids.queue_of(job_id)
        async with answering():
            engine_id, raw = await self._find(queue, job_id)
            return bool(raw) and await cancel.request(self._redis, f"{self._prefix}:{queue}", engine_id)

    async def logs(self, job_id: str, *, limit: int = 1000) -> list[str]:
        """Give the newest lines that the job's handler wrote, oldest first."""
        queue = ids.queue_of(job_id)
        async with answering():
            engine_id, _ = await self._find(queue, job_id)
            key = f"{self._key(queue, engine_id)}:logs"
            return await cast("Awaitable[list[str]]", self._redis.lrange(key, -limit, -1))

    async def counts(self, queue: str) -> dict[str, int]:
        """Give how many jobs of a queue are in each state of the engine."""
        async with answering():
            found: dict[str, int] = await self._queue(queue).getJobCounts(
                "waiting", "prioritized", "delayed", "active", "waiting-children", "completed", "failed"
            )
        return found

    async def claimed(self, key: str) -> str | None:
        """Give what a key holds that a job was added with."""
        async with answering():
            return cast("str | None", await self._redis.get(key))

    async def ping(self) -> None:
        """Return when the server answers.

        Raises:
            EngineUnavailable: it does not.
        """
        async with answering():
            await self._redis.ping()

    def _queue(self, name: str) -> Queue:
        if name not in self._queues:
            self._queues[name] = Queue(name, {"connection": self._redis, "prefix": self._prefix})
        return self._queues[name]

    def _key(self, queue: str, engine_id: str) -> str:
        return f"{self._prefix}:{queue}:{engine_id}"

    async def _find(self, queue: str, job_id: str) -> tuple[str, dict[str, str]]:
        candidates = ids.engine_ids(job_id)
        pipe = self._redis.pipeline(transaction=False)
        for engine_id in candidates:
            key = self._key(queue, engine_id)
            pipe.type(key)
            pipe.hgetall(key)
        # An id may name a list or a stream of the queue (`documents_wait`): reading that as a hash fails.
        found = await pipe.execute(raise_on_error=False)
        for engine_id, type_, raw in zip(candidates, found[::2], found[1::2], strict=True):
            if isinstance(raw, RedisError) and type_ == "hash":
                raise raw
            # Of all the engine's hashes only a job's has a name.
            if type_ == "hash" and "name" in raw:
                return engine_id, raw
        return job_id, {}

    async def _add(self, job: NewJob, guards: Sequence[Part]) -> tuple[str | None, Any]:
        parts = [*guards, *self._parts(job), *self._tenants.parts(job, self._prefix)]
        async with answering():
            ended_by, given = await self._scripts.run(*parts)
        if ended_by is None:
            self._tenants.learn(job, given)
        elif ended_by in adding.ADDING:
            raise EngineUnavailable(f"the engine did not take the job {job.id}: {given}")
        return ended_by, given

    def _parts(self, job: NewJob) -> list[Part]:
        # As the package's flows do: the parent first, each by its script.
        parts, waiting = [], job.child_of
        if (above := job.parent) is not None:
            parts.append(self._adding(above.spec.queue).parent(above, options(above, self._keep)))
            waiting = Parent(above.id, f"{self._prefix}:{above.spec.queue}")
        written = options(job, self._keep, parent=waiting, priority=self._tenants.priority)
        return [*parts, self._adding(job.spec.queue).work(job, written, waiting)]

    def _adding(self, queue: str) -> Adding:
        if queue not in self._lines:
            self._lines[queue] = Adding(self._queue(queue))
        return self._lines[queue]


class _Answering:
    async def __aenter__(self) -> None:
        return

    async def __aexit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, RedisError | OSError):
            raise EngineUnavailable("the queue's server does not answer; try again shortly") from error


_ANSWERING = _Answering()


def answering() -> AbstractAsyncContextManager[None]:
    """Say of any trouble with the server that it is the server that does not answer."""
    return _ANSWERING
