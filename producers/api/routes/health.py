"""How operators and their machines see that the API is well."""

import platform
from http import HTTPStatus
from importlib.metadata import version

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest
from prometheus_client.core import CollectorRegistry
from pydantic import BaseModel

from producers.api.engine_time import engine_time
from producers.engine.queue_lag import lags
from schemas import VERSION
from schemas.errors import EngineUnavailable

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """A yes; a no is a problem."""

    status: str = "ok"


class Version(BaseModel):
    """What runs here."""

    corral: str
    bullmq: str
    python: str


@router.get("/livez")
async def livez() -> Health:
    """Say that the process answers; ask no other system."""
    return Health()


@router.get("/readyz", responses={503: {"description": "The queue's server does not answer."}})
async def readyz(request: Request) -> Health:
    """Say that jobs can be accepted: the queue's server answers."""
    async with engine_time(request):
        await request.app.state.engine.ping()
    return Health()


@router.get("/version")
async def versions() -> Version:
    """Say which versions run here."""
    return Version(corral=VERSION, bullmq=version("bullmq"), python=platform.python_version())


@router.get("/metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """Give this process's counters and the queues' lengths, for Prometheus."""
    text = generate_latest(request.app.state.metrics.registry) + await _queue_lengths(request)
    return Response(text, HTTPStatus.OK, media_type=CONTENT_TYPE_LATEST)


async def _queue_lengths(request: Request) -> bytes:
    registry = CollectorRegistry()
    up = Gauge("corral_engine_up", "1 when the queue's server answers.", registry=registry)
    jobs = Gauge("corral_jobs", "Jobs in a queue, by the engine's state.", ["queue", "state"], registry=registry)
    waited = Gauge(
        "corral_next_waited_seconds", "How long the job that is next has waited.", ["queue"], registry=registry
    )
    overdue = Gauge(
        "corral_delayed_overdue_seconds", "How late the first delayed job is.", ["queue"], registry=registry
    )
    state_of_app = request.app.state
    queues = sorted({spec.queue for spec in state_of_app.catalogue.values()})
    try:
        async with engine_time(request):
            for queue in queues:
                for state, count in (await state_of_app.engine.counts(queue)).items():
                    jobs.labels(queue=queue, state=state).set(count)
            for queue, lag in (await lags(state_of_app.redis, state_of_app.settings.queue_prefix, queues)).items():
                waited.labels(queue=queue).set(lag.next_waited_s)
                overdue.labels(queue=queue).set(lag.overdue_s)
        up.set(1)
    except EngineUnavailable:
        up.set(0)
    return generate_latest(registry)
