"""``/v1/endpoints``: receivers of callbacks that a tenant registers, and that its jobs name."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from producers.api.engine_time import engine_time
from producers.api.tenant import Operator, Tenant
from producers.audit import Audit
from producers.callbacks.endpoints import Endpoints
from producers.callbacks.gate import Gate, Target
from producers.enqueue import Enqueue, Order
from schemas.endpoint import (
    DisabledOrigin,
    EndpointChange,
    EndpointRequest,
    EndpointSecret,
    EndpointStatus,
    NewEndpoint,
)
from schemas.jobs.callbacks import PING, PingEndpoint

router = APIRouter(
    tags=["callbacks"],
    responses={
        401: {"description": "No token, or an unknown one."},
        503: {"description": "The queue's server does not answer, or the operator has set no `CORRAL_SEALING_KEYS`."},
    },
)

EndpointId = Annotated[str, Path(max_length=64)]
_MISSING: dict[int | str, dict[str, Any]] = {404: {"description": "This tenant has no such endpoint."}}
_REFUSED: dict[int | str, dict[str, Any]] = {
    403: {"description": "The operator does not let this tenant call that address."},
    409: {"description": "The tenant has as many endpoints as it may."},
}
_DAY_S = 24 * 3600


class EndpointList(BaseModel):
    """The tenant's endpoints, and the origins of plain addresses to which nothing is sent."""

    endpoints: list[EndpointStatus]
    origins: list[DisabledOrigin]


class Rotation(BaseModel):
    """How a secret is replaced."""

    model_config = ConfigDict(extra="forbid")

    overlap_s: float = Field(
        default=_DAY_S,
        ge=0,
        le=7 * _DAY_S,
        allow_inf_nan=False,
        description="How long the former secret signs as well.",
    )


class Resealed(BaseModel):
    """The secrets of endpoints lie under the newest key."""

    resealed: int = Field(description="How many did not before.")


class Pinged(BaseModel):
    """A ping is under way."""

    callback: str = Field(description="What came of it is at `/v1/callbacks/{id}`.")


@router.post("/v1/endpoints", status_code=HTTPStatus.CREATED, responses=_REFUSED)
async def add_endpoint(body: EndpointRequest, request: Request, response: Response, tenant: Tenant) -> NewEndpoint:
    """Register an endpoint. Its secret is in this answer and in no other."""
    async with engine_time(request):
        added = await _endpoints(request).add(tenant, body)
    response.headers["Location"] = f"/v1/endpoints/{added.id}"
    return added


@router.get("/v1/endpoints")
async def list_endpoints(request: Request, tenant: Tenant) -> EndpointList:
    """Give the tenant's endpoints, the oldest first."""
    async with engine_time(request):
        endpoints = _endpoints(request)
        return EndpointList(endpoints=await endpoints.all(tenant), origins=await endpoints.origins(tenant))


@router.post("/v1/endpoints/reseal", responses={403: {"description": "Only the operator may."}})
async def reseal_endpoints(request: Request, by: Operator) -> Resealed:
    """Encrypt every tenant's secrets under the first of `CORRAL_SEALING_KEYS`; after that the others can go."""
    async with engine_time(request):
        await Audit(request.app.state.redis, prefix=request.app.state.settings.queue_prefix).note(
            "endpoints.resealed", "endpoints", by=by
        )
    return Resealed(resealed=await _endpoints(request).reseal())


@router.get("/v1/endpoints/{endpoint_id}", responses=_MISSING)
async def endpoint_status(endpoint_id: EndpointId, request: Request, tenant: Tenant) -> EndpointStatus:
    """Tell where an endpoint is, and whether callbacks get there."""
    async with engine_time(request):
        found = await _endpoints(request).get(tenant, endpoint_id)
        health = await _gate(request).health(Target(tenant, endpoint_id))
    return found.model_copy(update={"health": health})


@router.patch("/v1/endpoints/{endpoint_id}", responses={**_MISSING, 403: _REFUSED[403]})
async def change_endpoint(
    endpoint_id: EndpointId, body: EndpointChange, request: Request, tenant: Tenant
) -> EndpointStatus:
    """Change what the body names; callbacks that wait go by what is new."""
    async with engine_time(request):
        return await _endpoints(request).change(tenant, endpoint_id, body)


@router.delete(
    "/v1/endpoints/{endpoint_id}",
    status_code=HTTPStatus.NO_CONTENT,
    response_class=Response,
    responses=_MISSING,
)
async def delete_endpoint(endpoint_id: EndpointId, request: Request, tenant: Tenant) -> None:
    """Delete an endpoint. Callbacks that wait for it fail; to keep them, disable it."""
    async with engine_time(request):
        await _endpoints(request).records.remove(tenant, endpoint_id)


@router.post("/v1/endpoints/{endpoint_id}/secret/rotate", responses=_MISSING)
async def rotate_secret(
    endpoint_id: EndpointId, request: Request, tenant: Tenant, body: Rotation | None = None
) -> EndpointSecret:
    """Give an endpoint a new secret. Until the overlap ends, callbacks have the signatures of both."""
    async with engine_time(request):
        return await _endpoints(request).rotate(tenant, endpoint_id, (body or Rotation()).overlap_s)


@router.post("/v1/endpoints/{endpoint_id}/disable", responses=_MISSING)
async def disable_endpoint(endpoint_id: EndpointId, request: Request, tenant: Tenant) -> EndpointStatus:
    """Have nothing sent to an endpoint. Its callbacks wait, for 30 days at the most."""
    async with engine_time(request):
        record = await _endpoints(request).records.find(tenant, endpoint_id)
        await _gate(request).disable(record.target(tenant))
        return await _endpoints(request).get(tenant, endpoint_id)


@router.post(
    "/v1/endpoints/{endpoint_id}/enable", status_code=HTTPStatus.NO_CONTENT, response_class=Response, responses=_MISSING
)
async def enable_endpoint(endpoint_id: EndpointId, request: Request, tenant: Tenant) -> None:
    """Have an endpoint, or a disabled origin, sent its callbacks again, the oldest first."""
    async with engine_time(request):
        await _gate(request).enable(await _endpoints(request).target(tenant, endpoint_id))


@router.post("/v1/endpoints/{endpoint_id}/ping", status_code=HTTPStatus.ACCEPTED, responses=_MISSING)
async def ping_endpoint(endpoint_id: EndpointId, request: Request, tenant: Tenant) -> Pinged:
    """Send an event `endpoint.ping` to an endpoint, once, also when it is disabled."""
    enqueue: Enqueue = request.app.state.enqueue
    async with engine_time(request):
        found = await _endpoints(request).records.find(tenant, endpoint_id)
        accepted = await enqueue(Order(PING, PingEndpoint(endpoint=found.id), tenant))
    return Pinged(callback=accepted.job_id)


def _gate(request: Request) -> Gate:
    gate: Gate = request.app.state.gate
    return gate


def _endpoints(request: Request) -> Endpoints:
    endpoints: Endpoints = request.app.state.endpoints
    return endpoints
