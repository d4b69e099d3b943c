"""Puts the API together: what the routes need is opened here, once, and closed in reverse."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI
from redis.asyncio import Redis

from producers import connection, trace
from producers.api import openapi, problem
from producers.api.edge import BodyLimit, HostGuard, Marked
from producers.api.event_feed import EventFeed
from producers.api.metrics import ApiMetrics
from producers.api.routes import callback, endpoint, event, file, fleet, health, job, listen, schedule
from producers.api.tenant import Door
from producers.api.traced import TracedEnqueue, TracedRequests
from producers.callbacks.endpoints import Endpoints
from producers.callbacks.gate import Gate
from producers.callbacks.history import History
from producers.callbacks.recipients import registered
from producers.child_process import die_with_parent
from producers.engine.schedulers import EngineSchedules
from producers.enqueue import Enqueue
from producers.file_store import DiskFiles
from producers.listening import Listening
from producers.log import configure
from producers.schedules import Schedules
from producers.settings import ApiSettings
from producers.tenants.tenancy import tenancy
from schemas import VERSION
from schemas import settings as environment
from schemas.job_spec import Catalogue, catalogue
from schemas.jobs.schedules import FIRE
from schemas.schedule import declared

# A request gives up earlier, by its own patience; this ends what no request waits for.
_SILENT_S = 1.0
_ROUTERS = (
    job.router,
    event.router,
    listen.router,
    file.router,
    fleet.router,
    schedule.router,
    endpoint.router,
    callback.router,
    health.router,
)
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


def create(specs: Catalogue | None = None) -> FastAPI:
    """Make the app that the environment describes, for every kind there is; the server calls this in each process."""
    # Granian's own processes do not notice when the one that started them is killed.
    die_with_parent(signal.SIGKILL)
    settings = environment.load(ApiSettings)
    configure(settings)
    return build(settings, specs or catalogue(), started=_end_streams_on_sigterm)


def build(settings: ApiSettings, specs: Catalogue, *, started: Callable[[FastAPI], None] = lambda _: None) -> FastAPI:
    """Make the app for these settings and these kinds of job; ``started`` hears of each start."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            redis = connection.fail_fast(settings.redis_url, timeout_s=_SILENT_S)
            stack.push_async_callback(redis.aclose)
            reading = connection.patient(settings.redis_url)
            stack.push_async_callback(reading.aclose)
            prefix = settings.queue_prefix
            app.state.redis = redis
            _open_engine(app, redis)
            app.state.feed = EventFeed(reading, prefix=prefix)
            stack.push_async_callback(app.state.feed.aclose)
            app.state.files = DiskFiles(settings.files_folder)
            _keep_schedules(app, redis, stack)
            _trace_orders(app, stack)
            started(app)
            yield

    app = FastAPI(
        title="Corral",
        version=VERSION,
        summary="Put jobs into queues; workers do them and call back.",
        lifespan=lifespan,
        # The documentation pages would load scripts from elsewhere; the document itself is ours.
        docs_url=None,
        redoc_url=None,
    )
    app.state.settings = settings
    app.state.catalogue = specs
    app.state.door = Door(settings.api_tokens)
    app.state.metrics = ApiMetrics(specs)
    problem.install(app)
    for router in (job.add_routes(specs), *_ROUTERS):
        app.include_router(router)
    openapi.install(app)
    # The last one added is the first one passed.
    app.add_middleware(
        BodyLimit,
        limit_bytes=settings.api_body_limit_bytes,
        files_path=file.PATH,
        file_limit_bytes=settings.api_upload_limit_bytes,
    )
    if not settings.api_tokens:
        app.add_middleware(HostGuard, names=_LOOPBACK_NAMES)
    _trace_requests(app)
    app.add_middleware(Marked, metrics=app.state.metrics)
    return app


def _open_engine(app: FastAPI, redis: Redis) -> None:
    settings: ApiSettings = app.state.settings
    app.state.engine, admission = tenancy(settings, redis, shared=settings.tenants_share)
    app.state.listening, app.state.listeners = Listening(redis, prefix=settings.queue_prefix), listen.Listeners()
    app.state.endpoints = Endpoints.of(settings, redis)
    app.state.gate = Gate(redis, prefix=settings.queue_prefix)
    app.state.history = History.of(settings, redis)
    app.state.enqueue = Enqueue(
        app.state.engine,
        idempotency_s=settings.idempotency_s,
        admission=admission,
        recipients=registered(app.state.endpoints),
    )


def _trace_requests(app: FastAPI) -> None:
    app.state.tracing = trace.from_environment("corral-api")
    if not isinstance(app.state.tracing, trace.Off):
        app.add_middleware(TracedRequests, tracing=app.state.tracing)


def _trace_orders(app: FastAPI, stack: AsyncExitStack) -> None:
    tracing: trace.Tracing = app.state.tracing
    stack.callback(tracing.close)
    if not isinstance(tracing, trace.Off):
        app.state.enqueue = TracedEnqueue(app.state.enqueue, tracing)


def _keep_schedules(app: FastAPI, redis: Redis, stack: AsyncExitStack) -> None:
    settings: ApiSettings = app.state.settings
    engine = EngineSchedules(redis, prefix=settings.queue_prefix, spec=FIRE, keep_finished_s=settings.keep_finished_s)
    app.state.schedules = Schedules(engine, app.state.catalogue, registered(app.state.endpoints))
    # In the background: the API starts, and says 503, also while the server is away.
    stop = asyncio.Event()
    app.state.declaring = asyncio.create_task(app.state.schedules.keep_declared(declared(), stop))
    # Not cancelled: redis-py leaves a connection behind that is cancelled while it opens.
    stack.push_async_callback(asyncio.wait, {app.state.declaring})
    stack.callback(stop.set)


def _end_streams_on_sigterm(app: FastAPI) -> None:
    # Granian waits for every answer to end, and a stream of events ends with its job: whoever
    # stops us would wait until we are killed.
    def told() -> None:
        app.state.feed.end()
        app.state.listeners.ending.set()
        # Granian has one handler for both signals, so this goes on as it would have.
        signal.raise_signal(signal.SIGINT)

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told)
