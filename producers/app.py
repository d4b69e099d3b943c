"""Puts the API together: what the routes need is opened here, once, and closed in reverse."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI

from producers import connection, openapi, problem
from producers.child_process import die_with_parent
from producers.edge import BodyLimit, HostGuard, Marked
from producers.engine import Engine
from producers.enqueue import Enqueue
from producers.event_feed import EventFeed
from producers.file_store import DiskFiles
from producers.log import configure
from producers.metrics import ApiMetrics
from producers.routes import event, file, health, job
from producers.settings import ApiSettings
from producers.tenant import Door
from schemas import VERSION
from schemas import settings as environment
from schemas.job_spec import Catalogue, catalogue

# A request gives up earlier, by its own patience; this ends what no request waits for.
_SILENT_S = 1.0
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


def create() -> FastAPI:
    """Make the app that the environment describes; the server calls this in each process."""
    # Granian's own processes do not notice when the one that started them is killed.
    die_with_parent(signal.SIGKILL)
    settings = environment.load(ApiSettings)
    configure(settings)
    return build(settings, catalogue(), started=_end_streams_on_sigterm)


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
            engine = Engine(redis, prefix=prefix, keep_finished_s=settings.keep_finished_s)
            app.state.engine = engine
            app.state.enqueue = Enqueue(engine, idempotency_s=settings.idempotency_s)
            app.state.feed = EventFeed(reading, prefix=prefix)
            stack.push_async_callback(app.state.feed.aclose)
            app.state.files = DiskFiles(settings.files_folder)
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
    for router in (job.add_routes(specs), job.router, event.router, file.router, health.router):
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
    app.add_middleware(Marked, metrics=app.state.metrics)
    return app


def _end_streams_on_sigterm(app: FastAPI) -> None:
    # Granian waits for every answer to end, and a stream of events ends with its job: whoever
    # stops us would wait until we are killed.
    def told() -> None:
        app.state.feed.end()
        # Granian has one handler for both signals, so this goes on as it would have.
        signal.raise_signal(signal.SIGINT)

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told)
