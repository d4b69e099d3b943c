"""How the API says no: RFC 9457 ``application/problem+json`` with a stable ``code``."""

import math
from collections.abc import Mapping
from http import HTTPStatus

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Scope

from producers.api.refusal import (
    BodyInvalid,
    BodyTooLarge,
    InternalError,
    MediaTypeUnsupported,
    MethodNotAllowed,
    Refusal,
    RouteNotFound,
)
from producers.api.request_mark import headers_of_every_answer, request_id
from producers.callbacks.allow_list import AddressNotAllowed
from producers.callbacks.endpoints import EndpointLimitReached, EndpointMissing
from producers.callbacks.history import CallbackMissing
from producers.callbacks.replay import CallbackNotReplayable
from producers.callbacks.seal import SealingKeyMissing
from producers.enqueue import IdempotencyMismatch
from producers.file_store import FileTooLarge
from producers.schedules import ScheduleDeclared, ScheduleLimitReached, ScheduleMissing
from producers.tenants.admission import TenantLimitReached
from schemas.errors import CorralError, EngineUnavailable, FileMissing, PayloadInvalid, UnknownKind

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1

STATUS: dict[type[CorralError], HTTPStatus] = {
    EngineUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    IdempotencyMismatch: HTTPStatus.UNPROCESSABLE_ENTITY,
    PayloadInvalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    FileMissing: HTTPStatus.NOT_FOUND,
    UnknownKind: HTTPStatus.NOT_FOUND,
    ScheduleMissing: HTTPStatus.NOT_FOUND,
    ScheduleDeclared: HTTPStatus.CONFLICT,
    ScheduleLimitReached: HTTPStatus.CONFLICT,
    FileTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    TenantLimitReached: HTTPStatus.TOO_MANY_REQUESTS,
    AddressNotAllowed: HTTPStatus.FORBIDDEN,
    EndpointMissing: HTTPStatus.NOT_FOUND,
    EndpointLimitReached: HTTPStatus.CONFLICT,
    CallbackMissing: HTTPStatus.NOT_FOUND,
    CallbackNotReplayable: HTTPStatus.CONFLICT,
    SealingKeyMissing: HTTPStatus.SERVICE_UNAVAILABLE,
}
# What the framework itself refuses.
_FRAMEWORK: dict[int, type[Refusal]] = {
    refusal.status: refusal for refusal in (BodyInvalid, BodyTooLarge, RouteNotFound, MethodNotAllowed)
}
_MOST_FAULTS = 20
_LONGEST_FIELD = 200


class Fault(BaseModel):
    """One field that is wrong."""

    field: str = Field(description="Where it is, for instance `body.payload.source.file`.")
    message: str


class Problem(BaseModel):
    """What went wrong with a request."""

    type: str = "about:blank"
    title: str = Field(description="The HTTP status in words.")
    status: int
    code: str = Field(description="Stable; for programs.")
    detail: str = Field(description="For people; may change.")
    errors: list[Fault] = Field(default_factory=list)
    request_id: str = Field(default="", description="As in `X-Request-Id`; the operator's log has it too.")


def answer(
    scope: Scope,
    status: int,
    code: str,
    detail: str,
    *,
    errors: list[Fault] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Make the response for a problem with the request of ``scope``."""
    problem = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        code=code,
        detail=detail,
        errors=errors or [],
        request_id=request_id(scope),
    )
    content = problem.model_dump(exclude_defaults=True) | {"type": problem.type}
    return JSONResponse(
        content, status, headers={"Cache-Control": "no-store", **(headers or {})}, media_type=MEDIA_TYPE
    )


def refused(scope: Scope, refusal: Refusal) -> Response:
    """Make the response for a refusal."""
    return answer(scope, refusal.status, refusal.code, str(refusal), headers=refusal.headers)


def install(app: FastAPI) -> None:
    """Make every error of the app leave it as a problem."""
    app.exception_handler(Refusal)(_refused)
    app.exception_handler(CorralError)(_failed)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(HTTPException)(_framework)
    app.exception_handler(ClientDisconnect)(_gone)
    app.exception_handler(Exception)(_unforeseen)


async def _refused(request: Request, error: Refusal) -> Response:
    return refused(request.scope, error)


async def _failed(request: Request, error: CorralError) -> Response:
    status = STATUS.get(type(error), HTTPStatus.INTERNAL_SERVER_ERROR)
    headers = {}
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers = {"Retry-After": str(RETRY_AFTER_S)}
        log.warning("request.failed", code=error.code, cause=type(error.__cause__).__name__)
    elif isinstance(error, TenantLimitReached):
        headers = {"Retry-After": str(math.ceil(error.retry_after_s))}
    elif status is HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("request.failed", code=error.code, exc_info=error)
    return answer(request.scope, status, error.code, str(error), headers=headers)


async def _invalid(request: Request, error: RequestValidationError) -> Response:
    if isinstance(error.body, bytes):
        # The framework reads as JSON only what says that it is.
        return refused(
            request.scope, MediaTypeUnsupported("send the body as JSON, with Content-Type: application/json")
        )
    faults = [Fault(field=_place(fault["loc"]), message=fault["msg"]) for fault in error.errors()[:_MOST_FAULTS]]
    detail = "; ".join(f"{fault.field}: {fault.message}" for fault in faults[:10])
    status = STATUS[PayloadInvalid]
    return answer(request.scope, status, PayloadInvalid.code, detail, errors=faults)


async def _framework(request: Request, error: HTTPException) -> Response:
    refusal = _FRAMEWORK.get(error.status_code, BodyInvalid)
    return answer(request.scope, error.status_code, refusal.code, str(error.detail), headers=error.headers)


async def _gone(_: Request, __: ClientDisconnect) -> Response:
    # Nobody hears this; it only keeps a caller's broken line from counting as our failure.
    return Response(status_code=HTTPStatus.BAD_REQUEST)


async def _unforeseen(request: Request, error: Exception) -> Response:
    # This one answer leaves the app outside of all middleware, so the marks are put on it here.
    log.error("request.failed", code=InternalError.code, request_id=request_id(request.scope), exc_info=error)
    refusal = InternalError("an unforeseen error; the operator's log has the details")
    response = refused(request.scope, refusal)
    response.headers.update(headers_of_every_answer(request.scope))
    return response


def _place(location: tuple[int | str, ...]) -> str:
    # A field's name is the caller's: it may be huge, or no text that UTF-8 can hold.
    name = ".".join(map(str, location)).encode("utf-8", "replace").decode()
    return name if len(name) <= _LONGEST_FIELD else f"{name[:_LONGEST_FIELD]}..."
