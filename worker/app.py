"""Puts a worker together: opens what its handlers need, takes jobs until it is told to stop."""

import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import structlog

from producers import connection, trace
from worker.attempt import Attempt
from worker.interim import Interim
from worker.metrics import WorkerMetrics
from worker.observed import Observed
from worker.ports import CallbackSender, Children, DocumentParser, FileStore, JobReader, Orders, SourceFetcher
from worker.registry import Registry
from worker.service import Service
from worker.settings import DocumentSettings, WorkerSettings
from worker.stop_signals import StopSignals

log = structlog.get_logger()

Opening = Callable[[WorkerSettings], AbstractAsyncContextManager[object]]


# --- Ports. An adapter is imported when a handler of a served queue asks for its port, so that a
# worker for callbacks never loads a document library.


@asynccontextmanager
async def callback_sender(settings: WorkerSettings) -> AsyncIterator[CallbackSender]:
    """Open the sender of callbacks.

    Raises:
        Misconfigured: the secret is missing or no secret, or a sealing key is no key.
    """
    from worker.adapters.endpoint_callback_sender import Desk, EndpointCallbackSender, signing_keys  # noqa: PLC0415 - see above
    from worker.adapters.guarded_http import HttpPost  # noqa: PLC0415 - see above
    from worker.guarded_client import GuardedClient  # noqa: PLC0415 - see above

    keys = signing_keys(settings.callback_secret)
    async with (
        GuardedClient(allow_loopback=settings.allow_loopback) as client,
        connection.patient(settings.redis_url) as redis,
    ):
        yield EndpointCallbackSender(HttpPost(client), keys, Desk.of(settings, redis))


@asynccontextmanager
async def source_fetcher(settings: DocumentSettings) -> AsyncIterator[SourceFetcher]:
    """Open the fetcher of documents that lie elsewhere."""
    from worker.adapters.guarded_http import HttpSourceFetcher  # noqa: PLC0415 - see above
    from worker.guarded_client import GuardedClient  # noqa: PLC0415 - see above

    async with GuardedClient(allow_loopback=settings.allow_loopback) as client:
        yield HttpSourceFetcher(client, limit_bytes=settings.source_limit_bytes)


@asynccontextmanager
async def file_store(settings: WorkerSettings) -> AsyncIterator[FileStore]:
    """Open the store that the API writes uploads to."""
    from worker.adapters.disk_file_store import DiskFileStore  # noqa: PLC0415 - see above

    yield DiskFileStore(settings.files_folder)


@asynccontextmanager
async def job_reader(settings: WorkerSettings) -> AsyncIterator[JobReader]:
    """Open the reader of other jobs."""
    from worker.adapters.engine_job_reader import EngineJobReader  # noqa: PLC0415 - see above

    async with EngineJobReader.connected(settings) as reader:
        yield reader


@asynccontextmanager
async def children(settings: WorkerSettings) -> AsyncIterator[Children]:
    """Open what adds jobs for jobs."""
    from worker.adapters.engine_children import EngineChildren  # noqa: PLC0415 - see above

    async with EngineChildren.connected(settings) as opened:
        yield opened


@asynccontextmanager
async def orders(settings: WorkerSettings) -> AsyncIterator[Orders]:
    """Open what adds the jobs of schedules."""
    from worker.adapters.engine_orders import EngineOrders  # noqa: PLC0415 - see above

    async with EngineOrders.connected(settings) as opened:
        yield opened


def document_parser(settings: DocumentSettings) -> AbstractAsyncContextManager[DocumentParser]:
    """Open the document parser."""
    from worker.adapters.pebble_document_parser import ParserLimits, PebbleDocumentParser  # noqa: PLC0415 - see above

    return PebbleDocumentParser(
        ParserLimits(
            processes=settings.parser_processes,
            timeout_s=settings.parser_timeout_s,
            memory_bytes=settings.parser_memory_bytes,
        )
    )


ADAPTERS: dict[type, Opening] = {
    CallbackSender: callback_sender,
    Children: children,
    DocumentParser: document_parser,
    FileStore: file_store,
    JobReader: job_reader,
    Orders: orders,
    SourceFetcher: source_fetcher,
}


# --- The process.


async def run(settings: WorkerSettings, registry: Registry, adapters: Mapping[type, Opening] = ADAPTERS) -> None:
    """Take jobs until SIGTERM or SIGINT, then let attempts end within ``stop_grace_s``.

    A second signal does not wait for them: what still runs is handed back.

    Raises:
        Misconfigured: an adapter lacks a setting.
        QueueUnread: a queue is no longer read; the process should be started anew.
    """
    stop = StopSignals.listen()
    async with AsyncExitStack() as stack:
        ports = {port: await stack.enter_async_context(adapters[port](settings)) for port in registry.ports}
        metrics = WorkerMetrics(registry)
        tracing = trace.from_environment("corral-worker")
        stack.callback(tracing.close)
        made = Attempt(registry, ports, metrics, random.Random())  # noqa: S311 - jitter
        telling = await stack.enter_async_context(Interim.opened(settings, made))
        attempt = Observed(telling, registry, metrics, tracing)
        service = await stack.enter_async_context(Service.opened(settings, registry, attempt, metrics))
        log.info("worker.started", queues=registry.queues, kinds=registry.kinds)
        await service.run(stop, settings.stop_grace_s)
    log.info("worker.stopped")
