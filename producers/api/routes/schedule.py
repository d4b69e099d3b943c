"""``/v1/schedules``: jobs that are added again and again, by the clock."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel

from producers.api.engine_time import engine_time
from producers.api.tenant import Tenant
from producers.schedules import Schedules
from schemas.schedule import ID, ScheduleRequest, ScheduleStatus

router = APIRouter(tags=["schedules"])

ScheduleId = Annotated[str, Path(pattern=ID.pattern, description="Of the tenant's own choice.")]
_REFUSALS: dict[int | str, dict[str, Any]] = {
    401: {"description": "No token, or an unknown one."},
    404: {"description": "No such schedule, or no such kind."},
    409: {"description": "The schedule is declared in the code, or the tenant has as many as it may."},
    422: {"description": "The request does not fit its schema, or would never fire."},
    503: {"description": "The queue's server does not answer; try again after `Retry-After`."},
}


class ScheduleList(BaseModel):
    """The tenant's schedules."""

    schedules: list[ScheduleStatus]


@router.put("/v1/schedules/{schedule_id}", responses=_REFUSALS)
async def put_schedule(
    schedule_id: ScheduleId, body: ScheduleRequest, request: Request, tenant: Tenant
) -> ScheduleStatus:
    """Keep a schedule, in place of an older one of the same id. To put the same again changes nothing.

    After an outage a schedule fires once, late, and goes on from there: firings that were missed are
    not made up for.
    """
    schedules: Schedules = request.app.state.schedules
    async with engine_time(request):
        return await schedules.put(tenant, schedule_id, body)


@router.get("/v1/schedules", responses={status: _REFUSALS[status] for status in (401, 503)})
async def list_schedules(request: Request, tenant: Tenant) -> ScheduleList:
    """Give every schedule; the one that fires next is the first."""
    schedules: Schedules = request.app.state.schedules
    async with engine_time(request):
        return ScheduleList(schedules=await schedules.all(tenant))


@router.get("/v1/schedules/{schedule_id}", responses={status: _REFUSALS[status] for status in (401, 404, 503)})
async def schedule_status(schedule_id: ScheduleId, request: Request, tenant: Tenant) -> ScheduleStatus:
    """Tell what a schedule adds, and when it fires next."""
    schedules: Schedules = request.app.state.schedules
    async with engine_time(request):
        return await schedules.get(tenant, schedule_id)


@router.delete(
    "/v1/schedules/{schedule_id}",
    status_code=HTTPStatus.NO_CONTENT,
    response_class=Response,
    responses={status: _REFUSALS[status] for status in (401, 404, 409, 503)},
)
async def delete_schedule(schedule_id: ScheduleId, request: Request, tenant: Tenant) -> None:
    """End a schedule. Jobs that it has added go on."""
    schedules: Schedules = request.app.state.schedules
    async with engine_time(request):
        await schedules.remove(tenant, schedule_id)
