"""``GET /v1/listen``: a tenant's callbacks as they are sent, as server-sent events; ``corral listen`` forwards them."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event

from producers.api.engine_time import engine_time
from producers.api.refusal import TooManyListeners
from producers.api.tenant import Tenant
from producers.listening import LISTENING_TTL_S, UNHEARD_S, Listening
from schemas.errors import EngineUnavailable

router = APIRouter(tags=["callbacks"])

_MOST = 32
_MOST_OF_TENANT = 4
_LOOK_S = 0.25
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events: `listening` at first, then a `callback` (SentCallback) for each that is sent.",
        "content": {"text/event-stream": {}},
    },
    401: {"description": "No token, or an unknown one."},
    429: {"description": "Enough listen already; try again after `Retry-After`."},
    503: {"description": "The queue's server does not answer; try again after `Retry-After`."},
}

LastEventId = Annotated[
    str | None,
    Header(alias="Last-Event-ID", pattern=r"^\d{1,15}-\d{1,10}$", description="The last `id` that was received."),
]


@dataclass
class Listeners:
    """Who listens in this process; ``ending`` is set when it is about to end."""

    ending: asyncio.Event = field(default_factory=asyncio.Event)
    tenants: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def one_more(self, tenant: str) -> Iterator[None]:
        """Count one for the length of a block.

        Raises:
            TooManyListeners: there are as many as there may be.
        """
        if self.tenants[tenant] >= _MOST_OF_TENANT or self.tenants.total() >= _MOST:
            detail = f"at most {_MOST_OF_TENANT} of a tenant listen at once, and {_MOST} of all; end one of yours"
            raise TooManyListeners(detail, headers={"Retry-After": str(LISTENING_TTL_S)})
        self.tenants[tenant] += 1
        try:
            yield
        finally:
            self.tenants[tenant] -= 1


@dataclass
class _Ear:
    """One who listens."""

    listening: Listening
    tenant: str
    place: str
    ending: asyncio.Event
    heartbeat_s: float

    async def events(self) -> AsyncIterator[bytes]:
        """Give each callback as it is sent, until the other side leaves or this process ends."""
        await asyncio.sleep(UNHEARD_S)
        yield format_sse_event(event="listening", data_str="{}")
        spoken_at = time.monotonic()
        while not self.ending.is_set():
            try:
                found = await self.listening.since(self.tenant, self.place)
            except EngineUnavailable:
                # The stream outlives an outage of the server, as that of a job does.
                found = []
            for place, sent in found:
                self.place = place
                yield format_sse_event(event="callback", id=place, data_str=sent.model_dump_json())
            if found:
                spoken_at = time.monotonic()
                continue
            if time.monotonic() - spoken_at > self.heartbeat_s:
                spoken_at = time.monotonic()
                yield format_sse_event(comment="still there")
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self.ending.wait()


async def _listen(request: Request, tenant: Tenant, last_event_id: LastEventId = None) -> AsyncIterator[_Ear]:
    """Listen for as long as the answer is being sent."""
    listening: Listening = request.app.state.listening
    listeners: Listeners = request.app.state.listeners
    with listeners.one_more(tenant):
        # Before the answer begins trouble is still a 503.
        async with engine_time(request):
            newest = await listening.begin(tenant)
        heartbeat_s = request.app.state.settings.api_heartbeat_s
        yield _Ear(listening, tenant, last_event_id or newest, listeners.ending, heartbeat_s)


@router.get("/v1/listen", response_class=StreamingResponse, responses=_RESPONSES)
async def listen(ear: Annotated[_Ear, Depends(_listen)]) -> Response:
    """Stream the tenant's callbacks as they are sent from now on: address, headers and body, never a secret.

    With ``Last-Event-ID`` the stream goes on where it broke, as long as the server remembers: a minute, and
    the newest 200.
    """
    return StreamingResponse(ear.events(), media_type="text/event-stream", headers=_HEADERS)
