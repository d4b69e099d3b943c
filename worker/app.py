"""Puts a worker together: opens what its handlers need, takes jobs until it is told to stop."""

import asyncio
import os
import platform
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Self

import structlog
from prometheus_client import start_http_server

from producers import connection
from producers.engine import Engine
from schemas.errors import CorralError, Misconfigured
from worker.adapters.disk_file_store import DiskFileStore
from worker.adapters.engine_job_reader import EngineJobReader
from worker.adapters.guarded_http import HttpCallbackSender, HttpSourceFetcher, guarded_client
from worker.adapters.pebble_document_parser import ParserLimits, PebbleDocumentParser
from worker.attempt import Attempt
from worker.consumer import BLOCK_S, Consumer, ConsumerOptions
from worker.metrics import WorkerMetrics
from worker.ports import CallbackSender, DocumentParser, FileStore, JobReader, SourceFetcher
from worker.registry import Registry
from worker.settings import WorkerSettings

log = structlog.get_logger()

_ABANDON_S = 1.0

Opening = Callable[[WorkerSettings], AbstractAsyncContextManager[object]]


class ConsumerEnded(CorralError):  # noqa: N818 - it is an event that the supervisor acts on
    """A queue is no longer read. Remedy: start the process anew; its supervisor does."""

    code = "consumer_ended"


@asynccontextmanager
async def _callback_sender(settings: WorkerSettings) -> AsyncIterator[CallbackSender]:
    if settings.callback_secret is None:
        raise Misconfigured("CORRAL_CALLBACK_SECRET is missing; `corral secret` makes one")
    async with guarded_client(allow_loopback=settings.allow_loopback) as client:
        yield HttpCallbackSender(client, settings.callback_secret)


@asynccontextmanager
async def _source_fetcher(settings: WorkerSettings) -> AsyncIterator[SourceFetcher]:
    async with guarded_client(allow_loopback=settings.allow_loopback) as client:
        yield HttpSourceFetcher(client, limit_bytes=settings.source_limit_bytes)


@asynccontextmanager
async def _file_store(settings: WorkerSettings) -> AsyncIterator[FileStore]:
    yield DiskFileStore(settings.files_folder)


@asynccontextmanager
async def _job_reader(settings: WorkerSettings) -> AsyncIterator[JobReader]:
    async with connection.patient(settings.redis_url) as redis:
        yield EngineJobReader(
            Engine(redis, prefix=settings.queue_prefix, keep_finished_s=settings.keep_finished_s)
        )


def document_parser(settings: WorkerSettings) -> AbstractAsyncContextManager[DocumentParser]:
    """Open the document parser alone, for whoever converts without a queue."""
    return PebbleDocumentParser(
        ParserLimits(
            processes=settings.parser_processes,
            timeout_s=settings.parser_timeout_s,
            memory_bytes=settings.parser_memory_bytes,
        )
    )


ADAPTERS: dict[type, Opening] = {
    CallbackSender: _callback_sender,
    DocumentParser: document_parser,
    FileStore: _file_store,
    JobReader: _job_reader,
    SourceFetcher: _source_fetcher,
}


async def run(settings: WorkerSettings, registry: Registry) -> None:
    """Take jobs until SIGTERM or SIGINT, then let attempts end within ``stop_grace_s``.

    A second signal does not wait for them.

    Raises:
        Misconfigured: an adapter lacks a setting.
        ConsumerEnded: a queue is no longer read; the process should be started anew.
    """
    stop = _StopSignals.listen()
    async with AsyncExitStack() as stack:
        ports = {port: await stack.enter_async_context(ADAPTERS[port](settings)) for port in registry.ports}
        metrics = WorkerMetrics(registry)
        _serve_metrics(metrics, settings, stack)
        attempt = Attempt(registry, ports, metrics, random.Random())
        consumers = [await _consumer(queue, settings, registry, attempt, stack) for queue in registry.queues]
        runs = [asyncio.create_task(consumer.run()) for consumer in consumers]
        log.info("worker.started", queues=registry.queues, kinds=registry.kinds)
        try:
            await _until(stop.first, runs)
        finally:
            log.info("worker.stopping", grace_s=settings.stop_grace_s)
            await _stop(consumers, stop.second, settings.stop_grace_s)
            for task in runs:
                task.cancel()
            await asyncio.gather(*runs, return_exceptions=True)
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


async def _consumer(
    queue: str, settings: WorkerSettings, registry: Registry, attempt: Attempt, stack: AsyncExitStack
) -> Consumer:
    redis = await stack.enter_async_context(connection.patient(settings.redis_url, block_s=BLOCK_S))
    options = ConsumerOptions(
        queue=queue,
        prefix=settings.queue_prefix,
        name=f"{platform.node()}:{os.getpid()}",
        concurrency=settings.concurrency_of(queue),
        lock_s=settings.lock_s,
        crashes=registry.crashes(queue),
        keep_finished_s=settings.keep_finished_s,
    )
    return Consumer(redis, options, attempt)


async def _until(stop: asyncio.Event, runs: list[asyncio.Task[None]]) -> None:
    waiting = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait({waiting, *runs}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    for task in done - {waiting}:
        # The engine's loop never ends by itself: whatever ended it, a new process is the cure.
        raise ConsumerEnded("a queue is no longer read") from task.exception()


async def _stop(consumers: list[Consumer], hurry: asyncio.Event, grace_s: float) -> None:
    stopping = asyncio.create_task(_all(consumer.stop() for consumer in consumers))
    hurried = asyncio.create_task(hurry.wait())
    await asyncio.wait({stopping, hurried}, timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
    hurried.cancel()
    for consumer in consumers:
        consumer.abandon()
    # When the server is gone this never ends; the process does.
    await asyncio.wait({stopping}, timeout=_ABANDON_S)
    stopping.cancel()


async def _all(steps: Iterable[Awaitable[None]]) -> None:
    await asyncio.gather(*steps)


def _serve_metrics(metrics: WorkerMetrics, settings: WorkerSettings, stack: AsyncExitStack) -> None:
    if settings.worker_metrics_port:
        server, thread = start_http_server(
            settings.worker_metrics_port, addr="127.0.0.1", registry=metrics.registry
        )
        stack.callback(thread.join)
        stack.callback(server.shutdown)
