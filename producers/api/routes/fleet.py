"""``/v1/queues``, ``/v1/workers`` and ``/v1/audit``: the operator looks at the fleet and steers it."""

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Path, Query, Request
from pydantic import BaseModel, Field

from producers.api.engine_time import engine_time
from producers.api.refusal import QueueNotDrainable, QueueNotFound, WorkerNotFound
from producers.api.tenant import Operator
from producers.audit import Audit
from producers.engine.queues import EngineQueue
from producers.worker_registry import WorkerRegistry
from schemas.job_spec import Catalogue
from schemas.queue_status import AuditEntry, Drained, QueueLimits, QueueStatus
from schemas.worker_status import MOST_CONCURRENCY, WorkerStatus

router = APIRouter(
    tags=["fleet"],
    responses={
        401: {"description": "No token, or an unknown one."},
        403: {"description": "Only the operator steers: the tenant named by `CORRAL_API_OPERATOR`."},
        404: {"description": "There is no such queue or worker."},
        503: {"description": "The queue's server does not answer; try again after `Retry-After`."},
    },
)
_LONGEST_NAME = 128


class Queues(BaseModel):
    """Every queue that a kind of job has."""

    queues: list[QueueStatus]


class Workers(BaseModel):
    """Every worker that has reported within 15 s."""

    workers: list[WorkerStatus]


class AuditEntries(BaseModel):
    """Who steered what, newest first."""

    entries: list[AuditEntry]


class Concurrency(BaseModel):
    """How many jobs of a queue one worker runs at once."""

    queue: str
    concurrency: int = Field(ge=1, le=MOST_CONCURRENCY)


def _queue(request: Request, _: Operator, queue: Annotated[str, Path(max_length=_LONGEST_NAME)]) -> EngineQueue:
    specs: Catalogue = request.app.state.catalogue
    known = sorted({spec.queue for spec in specs.values()})
    if queue not in known:
        raise QueueNotFound(f"there is no queue {queue!r}; there are: {', '.join(known)}")
    return EngineQueue(request.app.state.redis, prefix=request.app.state.settings.queue_prefix, queue=queue)


async def _worker(
    request: Request, _: Operator, worker_id: Annotated[str, Path(max_length=_LONGEST_NAME)]
) -> WorkerStatus:
    async with engine_time(request):
        found = await _registry(request).find(worker_id)
    if found is None:
        raise WorkerNotFound(f"no worker {worker_id!r} has reported lately; see /v1/workers")
    return found


def _audit(request: Request) -> Audit:
    return Audit(request.app.state.redis, prefix=request.app.state.settings.queue_prefix)


def _registry(request: Request) -> WorkerRegistry:
    return WorkerRegistry(request.app.state.redis, prefix=request.app.state.settings.queue_prefix)


AQueue = Annotated[EngineQueue, Depends(_queue)]
AWorker = Annotated[WorkerStatus, Depends(_worker)]


@router.get("/v1/queues")
async def queues(request: Request, by: Operator) -> Queues:
    """Show every queue: its jobs by state, its limits, whether it is paused."""
    specs: Catalogue = request.app.state.catalogue
    names = sorted({spec.queue for spec in specs.values()})
    async with engine_time(request):
        return Queues(queues=[await _queue(request, by, name).status() for name in names])


@router.get("/v1/queues/{queue}")
async def queue_status(queue: AQueue, request: Request) -> QueueStatus:
    """Show one queue."""
    async with engine_time(request):
        return await queue.status()


@router.post("/v1/queues/{queue}/pause")
async def pause(queue: AQueue, request: Request, by: Operator) -> QueueStatus:
    """Have no worker take a job of the queue; what runs goes on, and jobs may be added."""
    async with engine_time(request):
        await _audit(request).note("queue.paused", queue.name, by=by)
        await queue.pause()
        return await queue.status()


@router.post("/v1/queues/{queue}/resume")
async def resume(queue: AQueue, request: Request, by: Operator) -> QueueStatus:
    """Have workers take jobs of the queue again."""
    async with engine_time(request):
        await _audit(request).note("queue.resumed", queue.name, by=by)
        await queue.resume()
        return await queue.status()


@router.post("/v1/queues/{queue}/drain", responses={409: {"description": "The queue carries callbacks."}})
async def drain(
    queue: AQueue,
    request: Request,
    by: Operator,
    delayed: Annotated[bool, Query(description="Also those that wait for a time.")] = False,  # noqa: FBT002 - a query
) -> Drained:
    """Ask for the end of every job that has not begun: each ends as `cancelled`, and its callback says so.

    Workers end them, so those of a paused queue end when it is resumed. Long queues take long: no
    limit of time but the caller's own holds here, and it is safe to repeat.
    """
    specs: Catalogue = request.app.state.catalogue
    if all(spec.internal for spec in specs.values() if spec.queue == queue.name):
        raise QueueNotDrainable(f"the queue {queue.name} is Corral's own, and nothing in it is given up; pause it")
    async with engine_time(request):
        await _audit(request).note("queue.drained", queue.name, by=by, details=f'{{"delayed": {str(delayed).lower()}}}')
    return Drained(queue=queue.name, cancelled=await queue.drain(delayed=delayed))


@router.put("/v1/queues/{queue}/limits")
async def limit(queue: AQueue, request: Request, by: Operator, limits: Annotated[QueueLimits, Body()]) -> QueueStatus:
    """Set how many jobs of the queue run at once, and begin in a time, over all workers; null lifts it."""
    async with engine_time(request):
        await _audit(request).note("queue.limited", queue.name, by=by, details=limits.model_dump_json())
        await queue.limit(limits)
        return await queue.status()


@router.get("/v1/workers")
async def workers(request: Request, _: Operator) -> Workers:
    """Show every worker process: host, version, queues, places used, memory, jobs."""
    async with engine_time(request):
        return Workers(workers=await _registry(request).workers())


@router.post("/v1/workers/{worker_id}/drain", status_code=202)
async def drain_worker(worker: AWorker, request: Request, by: Operator) -> WorkerStatus:
    """Have one worker take nothing more; what it runs may end. It obeys within about a second."""
    async with engine_time(request):
        await _audit(request).note("worker.drained", worker.id, by=by)
        await _registry(request).drain(worker.id, drained=True)
    return worker


@router.post("/v1/workers/{worker_id}/resume", status_code=202)
async def resume_worker(worker: AWorker, request: Request, by: Operator) -> WorkerStatus:
    """Have a drained worker take jobs again."""
    async with engine_time(request):
        await _audit(request).note("worker.resumed", worker.id, by=by)
        await _registry(request).drain(worker.id, drained=False)
    return worker


@router.put("/v1/workers/{worker_id}/concurrency", status_code=202)
async def resize_worker(
    worker: AWorker, request: Request, by: Operator, wanted: Annotated[Concurrency, Body()]
) -> WorkerStatus:
    """Set how many jobs of a queue one worker runs at once, until it ends."""
    if wanted.queue not in {served.queue for served in worker.queues}:
        raise QueueNotFound(f"the worker {worker.id} does not serve the queue {wanted.queue[:_LONGEST_NAME]!r}")
    async with engine_time(request):
        await _audit(request).note("worker.resized", worker.id, by=by, details=wanted.model_dump_json())
        await _registry(request).resize(worker.id, wanted.queue, wanted.concurrency)
    return worker


@router.get("/v1/audit")
async def audit(request: Request, _: Operator, limit: Annotated[int, Query(ge=1, le=1_000)] = 100) -> AuditEntries:
    """Show who steered what, newest first; the server keeps the newest thousand."""
    async with engine_time(request):
        return AuditEntries(entries=await _audit(request).newest(limit))
