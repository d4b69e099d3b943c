"""The border with the engine on the way in: how jobs are added, read and asked to end.

The engine's words (camelCase, milliseconds, its names of states) end here.
"""

from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from bullmq import Job, Queue
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import RedisError, WatchError

from producers.engine import cancel
from producers.engine.cancel import CANCEL_FIELD
from producers.engine.guarded_script import GuardedScripts
from producers.engine.job_record import record
from producers.engine.new_job import Keep, NewJob, Parent, options
from producers.engine.remembered import remembered
from producers.engine.tenants import ALL_ALIKE, Tenants
from schemas import job_id as ids
from schemas.errors import EngineUnavailable
from schemas.job_status import JobRecord

__all__ = ["CANCEL_FIELD", "Engine", "NewJob", "Tenants", "answering"]

# The server does nothing else while it runs a transaction; so many children take it about 20 ms.
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
        self._guarded = GuardedScripts(redis)

    async def add(self, job: NewJob) -> None:
        """Write a job of a new id, and its parent, in one transaction.

        Raises:
            EngineUnavailable: the server did not confirm; the job may or may not be there.
        """
        async with answering():
            if job.parent is None and self._tenants == ALL_ALIKE:
                await self._write(job)  # one script is a transaction of its own
                return
            async with self._redis.pipeline(transaction=True) as pipe:
                await self._put(job, pipe)
                self._tenants.learn(job, await pipe.execute())

    async def add_once(self, job: NewJob) -> None:
        """Write a job unless one of its id is there, whoever tries at the same time.

        The engine itself takes a known id without a word, but a child that is added again after it
        failed would keep its parent from ever ending. What is done for tenants is safe to repeat.

        Raises:
            EngineUnavailable: the server did not confirm; it is safe to try again.
        """
        async with answering(), self._redis.pipeline(transaction=True) as pipe:
            await self._put(job, pipe, unless=self._key(job.spec.queue, job.id))
            self._tenants.learn(job, await pipe.execute())

    async def add_children(self, jobs: Sequence[NewJob]) -> int:
        """Write those of a job's children (``child_of``) that are not there, and tell how many. Safe to repeat.

        Many are written in several transactions: who dies in between adds the others by the next try.
        """
        added = 0
        for at in range(0, len(jobs), _CHILDREN_AT_ONCE):
            added += await self._add_children(jobs[at : at + _CHILDREN_AT_ONCE])
        return added

    async def _add_children(self, jobs: Sequence[NewJob]) -> int:
        keys = [self._key(job.spec.queue, job.id) for job in jobs]
        async with answering(), self._watching(*keys) as pipe:
            looking = self._redis.pipeline(transaction=False)
            for key in keys:
                looking.exists(key)
            missing = [job for job, there in zip(jobs, await looking.execute(), strict=True) if not there]
            pipe.multi()  # type: ignore[no-untyped-call]  # redis-py's
            for job in missing:
                await self._put(job, pipe)
            try:
                answers = await pipe.execute()
            except WatchError:
                # Another runner of the parent adds them.
                return await self._add_children(jobs)
        for job in missing[-1:]:
            self._tenants.learn(job, answers)
        return len(missing)

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

    async def claim(self, key: str, value: str, *, ttl_s: int) -> str | None:
        """Take a key for a while; give None when it was free, else what it holds."""
        async with answering():
            held = await self._redis.set(key, value, nx=True, get=True, ex=ttl_s)
        return cast("str | None", held)

    async def settle(self, key: str, value: str) -> None:
        """Change what a claimed key holds and leave its time to live as it is."""
        async with answering():
            await self._redis.set(key, value, xx=True, keepttl=True)

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

    @asynccontextmanager
    async def _watching(self, *keys: str) -> AsyncIterator[Pipeline]:
        pipe, whole = self._redis.pipeline(transaction=True), False
        try:
            await pipe.watch(*keys)
            yield pipe
            whole = True
        finally:
            if not whole and pipe.connection is not None:
                # To end the watch politely would be to wait for a server that has just been silent.
                pipe.watching = False
                await pipe.connection.disconnect(nowait=True)
            await pipe.aclose()

    async def _put(self, job: NewJob, pipe: Pipeline, *, unless: str | None = None) -> None:
        await self._write(job, pipe, unless=unless)
        await self._tenants.enter(job, self._prefix, pipe)

    async def _write(self, job: NewJob, pipe: Pipeline | None = None, *, unless: str | None = None) -> None:
        # As the package's flows do: the parent first, each by its script.
        parent = job.child_of
        if job.parent is not None:
            waiting = self._written(job.parent)
            await self._scripts(waiting, unless).addParentJob(waiting, pipe)
            parent = Parent(job.parent.id, waiting.queueQualifiedName)
        written = self._written(job, parent=parent, priority=self._tenants.priority)
        await self._scripts(written, unless).addJob(written, pipe)

    def _scripts(self, job: Job, unless: str | None) -> Any:  # noqa: ANN401 - the package's, which ships no types
        return self._guarded.unless(unless, job.backend.scripts) if unless else job.backend.scripts

    def _written(self, job: NewJob, *, parent: Parent | None = None, priority: int = 0) -> Job:
        written = options(job, self._keep, parent=parent, priority=priority)
        return Job(self._queue(job.spec.queue), job.spec.kind, job.data, written)


@asynccontextmanager
async def answering() -> AsyncIterator[None]:
    """Say of any trouble with the server that it is the server that does not answer."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise EngineUnavailable("the queue's server does not answer; try again shortly") from error
