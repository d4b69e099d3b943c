"""Fills the port ``Children`` with the engine's flows: a job may have children while it runs."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Literal, Self

from redis.asyncio import Redis

from producers import connection, trace
from producers.engine.jobs import Engine, answering
from producers.engine.new_job import NewJob, Parent
from producers.tenants.tenancy import tenancy
from schemas import job_id as ids
from schemas.envelope import Envelope
from schemas.errors import ChildFailed, ChildrenPending, EngineUnavailable
from schemas.job_status import JobRecord, JobState
from schemas.settings import TenantSettings
from worker.ports import Child, Children, JobContext

_READ_AT_ONCE = 50


class EngineChildren(Children):
    """Adds children as the API adds jobs, each under an id that follows from its parent's and its key."""

    def __init__(self, engine: Engine, redis: Redis, *, prefix: str) -> None:
        """Write through ``engine``, and look through ``redis``, its client."""
        self._engine = engine
        self._redis = redis
        self._prefix = prefix

    @classmethod
    @asynccontextmanager
    async def connected(cls, settings: TenantSettings) -> AsyncIterator[Self]:
        """Write through a client of its own, closed at the end of the block.

        Children take their tenant's place and are in its books, but no limit refuses one: its parent, which
        counts as well, would wait for ever.
        """
        async with connection.patient(settings.redis_url) as redis:
            engine, _ = tenancy(settings, redis)
            yield cls(engine, redis, prefix=settings.queue_prefix)

    async def run(
        self, job: JobContext, children: Sequence[Child], *, on_failure: Literal["fail", "collect"] = "fail"
    ) -> list[JobRecord]:
        """Have these jobs done, and give how each ended, in the order given."""
        parent = await self._parent(job.id)
        wanted = [self._job(job, parent, child) for child in children]
        if wanted and await self._engine.add_children(wanted):
            raise ChildrenPending(f"{len(wanted)} jobs that this one waits for are to be done")
        found: list[JobRecord] = []
        for at in range(0, len(wanted), _READ_AT_ONCE):
            chunk = wanted[at : at + _READ_AT_ONCE]
            found += await asyncio.gather(*(self._ended(one.id) for one in chunk))
        failed = [one.status for one in found if one.status.state is not JobState.COMPLETED]
        if failed and on_failure == "fail":
            raise ChildFailed(f"{len(failed)} of {len(found)}; {failed[0].id} is {failed[0].state}: {failed[0].error}")
        return found

    async def _parent(self, job_id: str) -> Parent:
        home = f"{self._prefix}:{ids.queue_of(job_id)}"
        async with answering():
            for engine_id in ids.engine_ids(job_id):
                if await self._redis.exists(f"{home}:{engine_id}"):
                    return Parent(engine_id, home)
        raise EngineUnavailable(f"the job {job_id} is not in the server any more")

    def _job(self, job: JobContext, parent: Parent, child: Child) -> NewJob:
        job_id = f"{child.spec.queue}_{sha256(f'{job.id} {child.key}'.encode()).hexdigest()[:26]}"
        envelope = Envelope(tenant=job.tenant, traceparent=trace.current())
        return NewJob(job_id, child.spec, envelope.wrap(child.payload), child_of=parent)

    async def _ended(self, job_id: str) -> JobRecord:
        found = await self._engine.read(job_id)
        if found is None or not found.status.state.final or found.status.finished_at is None:
            raise ChildrenPending("a job that this one waits for has not ended")
        return found
