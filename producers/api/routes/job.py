"""``/v1/jobs``: add, look, cancel. The routes that add are made from the job specs."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Generic, Self, TypeVar

from fastapi import APIRouter, Header, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from producers.api.engine_time import engine_time
from producers.api.metrics import ApiMetrics
from producers.api.refusal import JobHasEnded, JobHasNoResult, JobNotFinished
from producers.api.request_mark import traceparent as well_formed
from producers.api.tenant import OwnJob, Tenant
from producers.enqueue import Enqueue, Order
from schemas.envelope import LONGEST_S, Callback, Limits
from schemas.errors import UnknownKind
from schemas.job_spec import AnySpec, Catalogue
from schemas.job_status import JobState, JobStatus

P = TypeVar("P", bound=BaseModel)

router = APIRouter(tags=["jobs"])

_LONGEST_KIND = 64
_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"description": why}
    for status, why in {
        401: "No token, or an unknown one.",
        404: "No such thing for this tenant.",
        422: "The request does not fit its schema, or its key belongs to another request.",
        429: "The tenant has as much in the queues as it may; try again after `Retry-After`.",
        503: "The queue's server does not answer; try again after `Retry-After`.",
    }.items()
}

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="The same key with the same body means the same job, for 72 hours unless set otherwise.",
    ),
]
Traceparent = Annotated[str | None, Header(description="W3C trace context; one that is malformed is ignored.")]


class JobRequest(BaseModel, Generic[P]):
    """One job to add."""

    model_config = ConfigDict(extra="forbid")

    payload: P
    callback: Callback | None = Field(default=None, description="Who hears of the job's end.")
    limits: Limits | None = Field(default=None, description="How long it may take, within what its kind allows.")
    delay_s: float | None = Field(
        default=None, ge=0, le=LONGEST_S, description="Begin no earlier than in so many seconds."
    )
    run_at: AwareDatetime | None = Field(default=None, description="Begin no earlier than then; at most 30 days ahead.")

    @model_validator(mode="after")
    def _begin_once(self) -> Self:
        if self.delay_s is not None and self.run_at is not None:
            raise ValueError("give delay_s or run_at, not both")
        if self.begins_in_s > LONGEST_S:
            raise ValueError("run_at is more than 30 days ahead")
        return self

    @property
    def begins_in_s(self) -> float:
        """How many seconds from now it may begin."""
        if self.run_at is not None:
            return max(0.0, (self.run_at - datetime.now(UTC)).total_seconds())
        return self.delay_s or 0.0


class AcceptedJob(BaseModel):
    """The job is in the queue and will end."""

    id: str
    kind: str
    state: JobState = Field(description="When the job was added; `links.self` tells the present one.")
    links: dict[str, str]


class JobLogs(BaseModel):
    """What the job's handler wrote for its owner."""

    lines: list[str]


def links(job_id: str) -> dict[str, str]:
    """Say where a job is found."""
    home = f"/v1/jobs/{job_id}"
    return {"self": home} | {part: f"{home}/{part}" for part in ("result", "events", "logs")}


def add_routes(catalogue: Catalogue) -> APIRouter:
    """Make one route for every kind that callers may add."""
    adding = APIRouter(tags=["add"])
    for spec in catalogue.values():
        if spec.internal:
            continue
        adding.add_api_route(
            f"/v1/jobs/{spec.kind}",
            _add_route(spec),
            methods=["POST"],
            status_code=HTTPStatus.ACCEPTED,
            response_model=AcceptedJob,
            name=spec.kind,
            operation_id=f"add_{spec.kind.replace('.', '_').replace('-', '_')}",
            summary=(spec.payload.__doc__ or spec.kind).partition("\n")[0],
            responses={
                **_REFUSALS,
                200: {"model": AcceptedJob, "description": "Accepted before: the same job."},
                413: {"description": "The body is above its limit."},
                415: {"description": "The body is not announced as JSON."},
            },
        )
    adding.add_api_route("/v1/jobs/{kind}", _unknown_kind(catalogue), methods=["POST"], include_in_schema=False)
    return adding


def _unknown_kind(catalogue: Catalogue) -> Callable[..., Awaitable[None]]:
    known = ", ".join(kind for kind, spec in catalogue.items() if not spec.internal)

    async def unknown(kind: str, _: Tenant) -> None:
        raise UnknownKind(f"there is no kind {kind[:_LONGEST_KIND]!r}; there are: {known}")

    return unknown


def _add_route(spec: AnySpec) -> Callable[..., Awaitable[AcceptedJob]]:
    async def add(
        body: JobRequest[spec.payload],  # type: ignore[name-defined]  # the spec's model, known at start
        request: Request,
        response: Response,
        tenant: Tenant,
        idempotency_key: IdempotencyKey = None,
        traceparent: Traceparent = None,
    ) -> AcceptedJob:
        enqueue: Enqueue = request.app.state.enqueue
        metrics: ApiMetrics = request.app.state.metrics
        begins_in_s = body.begins_in_s
        order = Order(
            spec,
            body.payload,
            tenant,
            body.callback,
            idempotency_key,
            well_formed(traceparent),
            body.limits,
            begins_in_s,
        )
        async with engine_time(request):
            accepted = await enqueue(order)
        where = links(accepted.job_id)
        response.headers["Location"] = where["self"]
        if accepted.replayed:
            response.status_code = HTTPStatus.OK
            response.headers["Idempotent-Replayed"] = "true"
        else:
            metrics.enqueued.labels(kind=spec.kind).inc()
        state = JobState.DELAYED if begins_in_s else JobState.WAITING
        return AcceptedJob(id=accepted.job_id, kind=spec.kind, state=state, links=where)

    return add


@router.get("/v1/jobs/{job_id}", responses=_REFUSALS)
async def job_status(job: OwnJob) -> JobStatus:
    """Tell where a job is: state, progress, attempts and times."""
    return job.status.model_copy(update={"links": links(job.status.id)})


@router.get("/v1/jobs/{job_id}/result", responses={**_REFUSALS, 409: {"description": "No result."}})
async def job_result(job: OwnJob) -> Any:  # noqa: ANN401 - each kind has a result of its own
    """Give the result of a completed job; files in it are at ``/v1/files/{ref}``."""
    if job.status.state is JobState.COMPLETED:
        return job.result
    if job.status.state.final:
        detail = str(job.status.error or f"the job is {job.status.state}")
        raise JobHasNoResult(detail)
    detail = f"the job is {job.status.state}; look again later or listen at its events"
    raise JobNotFinished(detail, headers={"Retry-After": "1"})


@router.get("/v1/jobs/{job_id}/logs", responses=_REFUSALS)
async def job_logs(job: OwnJob, request: Request) -> JobLogs:
    """Give the newest 1,000 lines that the job's handler wrote, oldest first."""
    async with engine_time(request):
        return JobLogs(lines=await request.app.state.engine.logs(job.status.id))


@router.delete(
    "/v1/jobs/{job_id}",
    status_code=HTTPStatus.ACCEPTED,
    responses={**_REFUSALS, 409: {"description": "The job has ended."}},
)
async def cancel_job(job: OwnJob, request: Request) -> JobStatus:
    """Ask for a job's end, wherever it runs; its callback will say ``job.cancelled``."""
    if job.status.state in {JobState.COMPLETED, JobState.FAILED}:
        raise JobHasEnded(f"the job is {job.status.state} already")
    async with engine_time(request):
        await request.app.state.engine.request_cancel(job.status.id)
        found = await request.app.state.engine.read(job.status.id)
    status: JobStatus = (found or job).status
    return status.model_copy(update={"links": links(status.id)})
