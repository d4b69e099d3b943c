"""Puts a worker together: opens what its handlers need, takes jobs until it is told to stop."""

import asyncio
import os
import platform
import random
import signal
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Self

import structlog
from prometheus_client import start_http_server

from producers import connection
from schemas.errors import CorralError
from worker.attempt import Attempt
from worker.consumer import BLOCK_S, Consumer, ConsumerOptions
from worker.metrics import WorkerMetrics
from worker.ports import CallbackSender, DocumentParser, FileStore, JobReader, SourceFetcher
from worker.registry import Registry
from worker.runner import Runner
from worker.settings import DocumentSettings, WorkerSettings

log = structlog.get_logger()

_ABANDON_S = 1.0

Opening = Callable[[WorkerSettings], AbstractAsyncContextManager[object]]


class QueueUnread(CorralError):  # noqa: N818 - it is an event that the supervisor acts on
    """A queue is no longer read. Remedy: start the process anew; its supervisor does."""

    code = "queue_unread"


# --- Ports. An adapter is imported when a handler of a served queue asks for its port, so that a
# worker for callbacks never loads a document library.


@asynccontextmanager
async def callback_sender(settings: WorkerSettings) -> AsyncIterator[CallbackSender]:
    """Open the sender of callbacks.

    Raises:
        Misconfigured: the secret is missing or no secret.
    """
    from worker.adapters.guarded_http import HttpCallbackSender, guarded_client, signer  # noqa: PLC0415 - see above

    webhook = signer(settings.callback_secret)
    async with guarded_client(allow_loopback=settings.allow_loopback) as client:
        yield HttpCallbackSender(client, webhook)


@asynccontextmanager
async def source_fetcher(settings: DocumentSettings) -> AsyncIterator[SourceFetcher]:
    """Open the fetcher of documents that lie elsewhere."""
    from worker.adapters.guarded_http import HttpSourceFetcher, guarded_client  # noqa: PLC0415 - see above

    async with guarded_client(allow_loopback=settings.allow_loopback) as client:
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
    DocumentParser: document_parser,
    FileStore: file_store,
    JobReader: job_reader,
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
    stop = _StopSignals.listen()
    async with AsyncExitStack() as stack:
        ports = {port: await stack.enter_async_context(adapters[port](settings)) for port in registry.ports}
        metrics = WorkerMetrics(registry)
        _serve_metrics(metrics, settings, stack)
        attempt = Attempt(registry, ports, metrics, random.Random())  # noqa: S311 - jitter
        runners = [await _runner(queue, settings, registry, attempt, stack) for queue in registry.queues]
        runs = {asyncio.create_task(runner.run(), name=runner.queue) for runner in runners}
        log.info("worker.started", queues=registry.queues, kinds=registry.kinds)
        try:
            await _until(stop.first, runs)
        finally:
            log.info("worker.stopping", grace_s=settings.stop_grace_s)
            for runner in runners:
                runner.stop()
            await _ended(runs, stop.second, settings.stop_grace_s)
    log.info("worker.stopped")


@dataclass(frozen=True)
class _StopSignals:
    first: asyncio.Event
    second: asyncio.Event

    @classmethod
    def listen(cls) -> Self:
        signals = cls(asyncio.Event(), asyncio.Event())

        def received() -> None:
            (signals.second if signals.first.is_set() else signals.first).set()

        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, received)
        return signals


async def _runner(
    queue: str, settings: WorkerSettings, registry: Registry, attempt: Attempt, stack: AsyncExitStack
) -> Runner:
    redis = await stack.enter_async_context(connection.patient(settings.redis_url, block_s=BLOCK_S))
    options = ConsumerOptions(
        queue=queue,
        prefix=settings.queue_prefix,
        name=f"{platform.node()}:{os.getpid()}",
        lock_s=settings.lock_s,
        crashes=registry.crashes(queue),
        keep_finished_s=settings.keep_finished_s,
    )
    return Runner(Consumer(redis, options), attempt, concurrency=settings.concurrency_of(queue))


async def _until(stop: asyncio.Event, runs: Iterable[asyncio.Task[None]]) -> None:
    waiting = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait({waiting, *runs}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    for run in done - {waiting}:
        # It never ends by itself: whatever ended it, a new process is the cure.
        cause = run.exception()
        log.error("queue.unread", queue=run.get_name(), exc_info=cause)
        raise QueueUnread(f"the queue {run.get_name()} is no longer read ({cause or 'for no known reason'})") from cause


async def _ended(runs: set[asyncio.Task[None]], hurry: asyncio.Event, grace_s: float) -> None:
    all_ended = asyncio.create_task(asyncio.wait(runs))
    hurried = asyncio.create_task(hurry.wait())
    await asyncio.wait({all_ended, hurried}, timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
    hurried.cancel()
    for run in runs:
        run.cancel()
    # When the server is gone this may never end; the process does.
    await asyncio.wait({all_ended}, timeout=_ABANDON_S)


def _serve_metrics(metrics: WorkerMetrics, settings: WorkerSettings, stack: AsyncExitStack) -> None:
    if settings.worker_metrics_port:
        server, thread = start_http_server(settings.worker_metrics_port, addr="127.0.0.1", registry=metrics.registry)
        stack.callback(thread.join)
        stack.callback(server.shutdown)
