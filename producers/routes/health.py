"""How operators and their machines see that the API is well."""

import platform
from http import HTTPStatus
from importlib.metadata import version

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest
from prometheus_client.core import CollectorRegistry
from pydantic import BaseModel

from producers.engine_time import engine_time
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
    try:
        async with engine_time(request):
            for queue in sorted({spec.queue for spec in request.app.state.catalogue.values()}):
                for state, count in (await request.app.state.engine.counts(queue)).items():
                    jobs.labels(queue=queue, state=state).set(count)
        up.set(1)
    except EngineUnavailable:
        up.set(0)
    return generate_latest(registry)
