"""How the API says no: RFC 9457 ``application/problem+json`` with a stable ``code``."""

from collections.abc import Mapping
from http import HTTPStatus

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from producers.enqueue import IdempotencyMismatch
from producers.file_store import FileTooLarge
from schemas.errors import CorralError, EngineUnavailable, FileMissing, PayloadInvalid

log = structlog.get_logger()

_RETRY_AFTER_S = 1
_STATUS: dict[type[CorralError], HTTPStatus] = {
    EngineUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    IdempotencyMismatch: HTTPStatus.UNPROCESSABLE_ENTITY,
    PayloadInvalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    FileMissing: HTTPStatus.NOT_FOUND,
    FileTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
}


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


class Refusal(Exception):  # noqa: N818 - it is an answer, not a fault
    """A request that the API turns down."""

    def __init__(
        self, status: HTTPStatus, code: str, detail: str, *, headers: Mapping[str, str] | None = None
    ) -> None:
        """Answer with this status, code and detail."""
        super().__init__(detail)
        self.status, self.code, self.headers = status, code, headers


def answer(
    status: int,
    code: str,
    detail: str,
    *,
    errors: list[Fault] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Make the response for a problem."""
    problem = Problem(
        title=HTTPStatus(status).phrase, status=status, code=code, detail=detail, errors=errors or []
    )
    return JSONResponse(
        problem.model_dump(exclude_defaults=True) | {"type": problem.type},
        status,
        headers=dict(headers or {}),
        media_type="application/problem+json",
    )


def install(app: FastAPI) -> None:
    """Make every error of the app leave it as a problem."""

    @app.exception_handler(Refusal)
    async def refused(_: Request, error: Refusal) -> JSONResponse:
        return answer(error.status, error.code, str(error), headers=error.headers)

    @app.exception_handler(CorralError)
    async def failed(_: Request, error: CorralError) -> JSONResponse:
        status = _STATUS.get(type(error), HTTPStatus.INTERNAL_SERVER_ERROR)
        late = status is HTTPStatus.SERVICE_UNAVAILABLE
        headers = {"Retry-After": str(_RETRY_AFTER_S)} if late else None
        return answer(status, error.code, str(error), headers=headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        faults = [
            Fault(field=".".join(map(str, fault["loc"])), message=fault["msg"]) for fault in error.errors()
        ]
        detail = "; ".join(f"{fault.field}: {fault.message}" for fault in faults[:10])
        return answer(HTTPStatus.UNPROCESSABLE_ENTITY, PayloadInvalid.code, detail, errors=faults)

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> JSONResponse:
        code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
        return answer(error.status_code, code, str(error.detail), headers=error.headers)

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> JSONResponse:
        log.error("request.failed", path=request.url.path, exc_info=error)
        detail = "an unforeseen error; the operator's log has the details"
        return answer(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", detail)
