"""``GET /v1/jobs/{id}/events``: what happens to a job, as server-sent events."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from producers.engine import Engine
from producers.event_feed import EventFeed, Happening
from producers.tenant import OwnJob
from schemas import job_id as ids
from schemas.job_status import JobStatus

router = APIRouter(tags=["jobs"])

LastEventId = Annotated[
    str | None,
    Header(alias="Last-Event-ID", pattern=r"^\d{1,15}-\d{1,10}$", description="The last `id` that was received."),
]


@router.get("/v1/jobs/{job_id}/events", response_class=EventSourceResponse)
async def job_events(
    job: OwnJob, request: Request, last_event_id: LastEventId = None
) -> AsyncIterator[ServerSentEvent]:
    """Stream ``state`` events (a job's status) and ``progress`` events until the job has ended.

    The first event is the job's present state. With ``Last-Event-ID`` the stream goes on where it
    broke, as long as the server remembers; the final state is always the last event.
    """
    engine: Engine = request.app.state.engine
    feed: EventFeed = request.app.state.feed
    job_id = job.status.id
    queue, engine_ids = ids.queue_of(job_id), ids.engine_ids(job_id)
    async with feed.listen(queue, engine_ids) as inbox:
        last = await feed.newest(queue)
        missed = await feed.since(queue, engine_ids, last_event_id) if last_event_id else None
        for happening in missed or []:
            if happening.progress is not None:
                yield _progress(happening)
        # Read after listening began, so that nothing falls between the two.
        seen = await _status(engine, job.status)
        yield _state(seen, last)
        while not seen.state.final:
            happening = await inbox.get()
            if happening.progress is not None:
                yield _progress(happening)
            elif (now := await _status(engine, seen)) != seen:
                seen = now
                yield _state(seen, happening.id)


async def _status(engine: Engine, known: JobStatus) -> JobStatus:
    found = await engine.read(known.id)
    return found.status if found else known


def _state(status: JobStatus, event_id: str) -> ServerSentEvent:
    return ServerSentEvent(event="state", id=event_id, data=status.model_dump(mode="json", exclude_none=True))


def _progress(happening: Happening) -> ServerSentEvent:
    return ServerSentEvent(event="progress", id=happening.id, data=happening.progress)
