"""``GET /v1/jobs/{id}/events``: what happens to a job, as server-sent events."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event
from pydantic import BaseModel

from producers.api.engine_time import engine_time
from producers.api.event_feed import END, EventFeed, Happening, order
from producers.api.tenant import OwnJob
from producers.engine.jobs import Engine
from schemas import job_id as ids
from schemas.errors import EngineUnavailable
from schemas.job_status import JobStatus

router = APIRouter(tags=["jobs"])

# The id of a last event ends so: a browser that connects again after it is told to stop.
_FINAL = "-final"
_AFTER_TROUBLE_S = 1.0
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "Events: `state` (a job's status) and `progress`.", "content": {"text/event-stream": {}}},
    204: {"description": "`Last-Event-ID` was the last event of all: nothing follows."},
}

LastEventId = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        pattern=rf"^\d{{1,15}}-\d{{1,10}}({_FINAL})?$",
        description="The last `id` that was received.",
    ),
]


@dataclass
class _Following:
    """A listener at a job. ``missed`` is None when the stream does not reach back to its last event."""

    engine: Engine
    inbox: asyncio.Queue[Happening]
    heartbeat_s: float
    missed: list[Happening] | None
    last_id: str
    status: JobStatus
    wait_s: float

    async def events(self) -> AsyncIterator[bytes]:
        """Give the job's state, its progress as it comes, and its final state as the last event."""
        for happening in self.missed or []:
            if happening.progress is not None:
                yield _event("progress", happening.progress, happening.id)
        if self.missed is None or self.status.state.final or any(one.progress is None for one in self.missed):
            yield self._state()
        while not self.status.state.final:
            happening_now = await self._next()
            if happening_now is END:
                return
            if happening_now is not None and happening_now.progress is not None:
                yield _event("progress", happening_now.progress, happening_now.id)
            elif (news := await self._look()) is not None:
                yield news
            else:
                return  # Somebody removed the job: whoever connects again is told so.

    async def _look(self) -> bytes | None:
        """Give the job's state when it has changed, else a sign of life; None when the job is gone."""
        try:
            found = await self.engine.read(self.status.id)
        except EngineUnavailable:
            # The stream outlives an outage of the server: it waits, and says that it lives.
            self.wait_s = min(_AFTER_TROUBLE_S, self.heartbeat_s)
            return format_sse_event(comment="waiting for the queue's server")
        self.wait_s = self.heartbeat_s
        if found is None:
            return None
        if not _turned(self.status, found.status):
            return format_sse_event(comment="still there")
        self.status = found.status
        return self._state()

    async def _next(self) -> Happening | None:
        try:
            async with asyncio.timeout(self.wait_s):
                while True:
                    happening = await self.inbox.get()
                    if happening is END:
                        return END
                    # What came before our first look at the job is in that look already.
                    if order(happening.id) > order(self.last_id):
                        self.last_id = happening.id
                        return happening
        except TimeoutError:
            return None

    def _state(self) -> bytes:
        return _event("state", self.status, self.last_id + (_FINAL if self.status.state.final else ""))


async def _follow(job: OwnJob, request: Request, last_event_id: LastEventId = None) -> AsyncIterator[_Following | None]:
    """Listen at a job for as long as the answer is being sent; None when nothing can follow."""
    if last_event_id and last_event_id.endswith(_FINAL) and job.status.state.final:
        yield None
        return
    engine: Engine = request.app.state.engine
    feed: EventFeed = request.app.state.feed
    queue, engine_ids = ids.queue_of(job.status.id), ids.engine_ids(job.status.id)
    async with AsyncExitStack() as stack:
        # Before the answer begins trouble is still a 503.
        async with engine_time(request):
            inbox = await stack.enter_async_context(feed.listen(queue, engine_ids))
            last_id = await feed.newest(queue)
            seen_id = (last_event_id or "").removesuffix(_FINAL)
            missed = await feed.since(queue, engine_ids, seen_id) if seen_id else None
            # Read after listening began, so that nothing falls between the two.
            found = await engine.read(job.status.id) or job
        heartbeat_s = request.app.state.settings.api_heartbeat_s
        yield _Following(engine, inbox, heartbeat_s, missed, last_id, found.status, wait_s=heartbeat_s)


@router.get("/v1/jobs/{job_id}/events", response_class=StreamingResponse, responses=_RESPONSES)
async def job_events(following: Annotated[_Following | None, Depends(_follow)]) -> Response:
    """Stream ``state`` events (a job's status) and ``progress`` events until the job has ended.

    The first event is the job's present state. With ``Last-Event-ID`` the stream goes on where it
    broke, as long as the server remembers; the final state is always the last event.
    """
    if following is None:
        return Response(status_code=HTTPStatus.NO_CONTENT)
    return StreamingResponse(following.events(), media_type="text/event-stream", headers=_HEADERS)


def _turned(seen: JobStatus, now: JobStatus) -> bool:
    # Progress has events of its own.
    return now.model_copy(update={"progress": seen.progress}) != seen


def _event(name: str, content: BaseModel, event_id: str) -> bytes:
    return format_sse_event(event=name, id=event_id, data_str=content.model_dump_json(exclude_none=True))
