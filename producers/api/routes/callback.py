"""``/v1/callbacks``: what came of callbacks, attempt by attempt, and sending them again."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from producers.api.engine_time import engine_time
from producers.api.tenant import Tenant
from producers.callbacks.history import History
from producers.callbacks.replay import CallbackNotReplayable, Replay
from schemas.callback_attempt import CallbackFilter, CallbackPage, CallbackRecord

router = APIRouter(
    tags=["callbacks"],
    responses={
        401: {"description": "No token, or an unknown one."},
        503: {"description": "The queue's server does not answer; try again after `Retry-After`."},
    },
)

CallbackId = Annotated[str, Path(max_length=128)]
_MISSING: dict[int | str, dict[str, Any]] = {
    404: {"description": "This tenant has no such callback, or it is too old."}
}
_FULL: dict[int | str, dict[str, Any]] = {429: {"description": "The tenant has as much in the queues as it may."}}


class Replayed(BaseModel):
    """A callback is sent again."""

    job_id: str = Field(description="The job that sends it; what comes of it is at the callback.")


class ReplayRequest(BaseModel):
    """Which callbacks to send again."""

    model_config = ConfigDict(extra="forbid")

    filter: CallbackFilter
    dry_run: bool = Field(default=False, description="Only say which they are.")


class ReplayedAll(BaseModel):
    """What was, or with `dry_run` would have been, sent again."""

    callbacks: list[str]
    skipped: list[str] = Field(description="Of those, what is no longer kept, and cannot be sent again.")
    next: str | None = Field(description="More are meant: the `cursor` to go on from.")


@router.get("/v1/callbacks")
async def list_callbacks(wanted: Annotated[CallbackFilter, Query()], request: Request, tenant: Tenant) -> CallbackPage:
    """Give callbacks that have been tried or parked, the one that was updated last first.

    A page looks at 2,000 at the most: it may have fewer than asked for, or none, and a `next` all the same.
    """
    async with engine_time(request):
        return await _history(request).page(tenant, wanted)


@router.get("/v1/callbacks/{callback_id}", responses=_MISSING)
async def callback(callback_id: CallbackId, request: Request, tenant: Tenant) -> CallbackRecord:
    """Give one callback with its newest twenty attempts."""
    async with engine_time(request):
        return await _history(request).get(tenant, callback_id)


@router.post(
    "/v1/callbacks/{callback_id}/replay",
    status_code=HTTPStatus.ACCEPTED,
    responses={**_MISSING, **_FULL, 409: {"description": "Its job is no longer kept."}},
)
async def replay_callback(callback_id: CallbackId, request: Request, tenant: Tenant) -> Replayed:
    """Send a callback again: the same event under the same id, signed by the secret of now.

    It is sent whatever the breaker says, and the breaker learns nothing of it.
    """
    async with engine_time(request):
        found = await _history(request).get(tenant, callback_id)
        return Replayed(job_id=await _replay(request)(tenant, found))


@router.post("/v1/callbacks/replay", status_code=HTTPStatus.ACCEPTED, responses=_FULL)
async def replay_callbacks(body: ReplayRequest, request: Request, tenant: Tenant) -> ReplayedAll:
    """Send again every callback that the filter means, a page at a time. It is safe to repeat."""
    async with engine_time(request):
        page = await _history(request).page(tenant, body.filter)
    skipped: list[str] = []
    for found in page.callbacks:
        try:
            # Each is one more write, so no limit of time but the caller's own holds here.
            if not body.dry_run:
                await _replay(request)(tenant, found)
        except CallbackNotReplayable:
            skipped.append(found.id)
    ids = [found.id for found in page.callbacks]
    return ReplayedAll(callbacks=ids, skipped=skipped, next=page.next)


def _history(request: Request) -> History:
    history: History = request.app.state.history
    return history


def _replay(request: Request) -> Replay:
    return Replay(request.app.state.engine, request.app.state.enqueue)
