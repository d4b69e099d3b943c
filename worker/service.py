"""One worker process at work: its queues, and around them what watches, reports and answers for them."""

import asyncio
import math
import os
import platform
import signal
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Self

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from redis.asyncio import Redis

from producers import connection
from producers.engine.new_job import Keep
from producers.engine.reconciliation import Reconciliation
from producers.worker_registry import WorkerRegistry
from schemas.job_spec import catalogue
from schemas.worker_status import WorkerState
from worker.consumer import BLOCK_S
from worker.consumer_options import ConsumerOptions
from worker.health_server import Address, Answer, Routes, serving, verdict
from worker.heartbeat import Heartbeat
from worker.metrics import WorkerMetrics
from worker.reconciler import Reconciler
from worker.registry import Registry
from worker.served_queue import Make, QueueUnread, ServedQueue
from worker.settings import WorkerSettings
from worker.stop_signals import StopSignals
from worker.watchdog import Watchdog

log = structlog.get_logger()

_ABANDON_S = 1.0
# For handing back, leaving the list and closing, which take less; then the kernel ends the process.
_FORCE_S = 5


@dataclass(frozen=True)
class Service:
    """The parts of a worker process that run for as long as it does."""

    queues: list[ServedQueue]
    watchdog: Watchdog
    heartbeat: Heartbeat
    reconciler: Reconciler
    metrics: WorkerMetrics

    @classmethod
    @asynccontextmanager
    async def opened(
        cls, settings: WorkerSettings, registry: Registry, attempt: Make, metrics: WorkerMetrics
    ) -> AsyncIterator[Self]:
        """Put the parts together, and serve what machines look at; nothing is taken yet."""
        async with AsyncExitStack() as stack:
            queues = [_served(queue, settings, registry, attempt) for queue in registry.queues]
            # Connections of their own: what watches must not wait behind what it watches.
            pulse = await stack.enter_async_context(connection.fail_fast(settings.redis_url))
            reports = await stack.enter_async_context(connection.fail_fast(settings.redis_url))
            workers = WorkerRegistry(reports, prefix=settings.queue_prefix)
            looks = await stack.enter_async_context(connection.patient(settings.redis_url))
            reconciler = Reconciler(_reconciliation(looks, settings, registry), every_s=settings.reconcile_s)
            watchdog = Watchdog(pulse, queues, prefix=settings.queue_prefix)
            metrics.show_reads(lambda: {queue.name: queue.well for queue in queues})
            service = cls(queues, watchdog, Heartbeat(workers, queues), reconciler, metrics)
            if address := _address(settings):
                await stack.enter_async_context(serving(address, service.routes()))
            yield service

    async def run(self, stop: StopSignals, grace_s: float) -> None:
        """Take jobs until the first signal; let attempts end within ``grace_s``, or until the second.

        Raises:
            QueueUnread: a queue is no longer read; the process should be started anew.
        """
        runs = {asyncio.create_task(queue.run(), name=queue.name) for queue in self.queues}
        watches = {asyncio.create_task(one.run()) for one in (self.watchdog, self.heartbeat, self.reconciler)}
        try:
            await _until(stop.first, runs | watches)
        finally:
            log.info("worker.stopping", grace_s=grace_s)
            # The kernel's clock: what does not end may be a handler that swallows its cancelling, or blocks the loop.
            signal.alarm(math.ceil(grace_s) + _FORCE_S)
            self.heartbeat.stopping()
            for queue in self.queues:
                queue.stop()
            await _ended(runs, stop.second, grace_s)
            signal.alarm(_FORCE_S)
            for watch in watches:
                watch.cancel()
            await asyncio.wait(watches, timeout=_ABANDON_S)
            if self.watchdog.engine_up:
                await self.heartbeat.end()

    async def livez(self) -> Answer:
        """Say that the loop turns, and that no queue is in trouble that a new process would not have."""
        return verdict([f"the queue {queue.name} {queue.trouble}" for queue in self.queues if queue.trouble])

    async def readyz(self) -> Answer:
        """Say that the server answers and every queue is being read."""
        reasons = [
            f"the queue {queue.name} {queue.trouble or 'is not being read'}" for queue in self.queues if not queue.well
        ]
        if not self.watchdog.engine_up:
            reasons.insert(0, "the queue's server does not answer, or does not write")
        if self.heartbeat.state is not WorkerState.RUNNING:
            reasons.insert(0, f"the worker is {self.heartbeat.state}")
        return verdict(reasons)

    async def page(self) -> Answer:
        """Give this process's counters, for Prometheus."""
        return Answer(HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(self.metrics.registry))

    def routes(self) -> Routes:
        """Say where each answer is found."""
        return {"/livez": self.livez, "/readyz": self.readyz, "/metrics": self.page}


def _served(queue: str, settings: WorkerSettings, registry: Registry, attempt: Make) -> ServedQueue:
    options = ConsumerOptions(
        queue=queue,
        prefix=settings.queue_prefix,
        name=f"{platform.node()}:{os.getpid()}",
        lock_s=settings.lock_s,
        crashes=registry.crashes(queue),
        keep_finished_s=settings.keep_finished_s,
        keep_finished_count=settings.keep_finished_count,
        tenant_weights=settings.tenant_weights,
    )
    connect = partial(connection.patient, settings.redis_url, block_s=BLOCK_S)
    return ServedQueue(options, attempt, connect, concurrency=settings.concurrency_of(queue))


def _reconciliation(redis: Redis, settings: WorkerSettings, registry: Registry) -> Reconciliation:
    # Also of queues that this process does not serve: their callbacks are everybody's.
    queues = [*registry.queues, *(spec.queue for spec in catalogue().values())]
    keep = Keep(settings.keep_finished_s, settings.keep_finished_count)
    return Reconciliation(redis, prefix=settings.queue_prefix, queues=queues, keep=keep)


def _address(settings: WorkerSettings) -> Address | None:
    if settings.worker_metrics_socket is not None:
        return Address(socket=settings.worker_metrics_socket)
    if settings.worker_metrics_port:
        return Address(settings.worker_metrics_host, settings.worker_metrics_port)
    return None


async def _until(stop: asyncio.Event, runs: Iterable[asyncio.Task[None]]) -> None:
    waiting = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait({waiting, *runs}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    for run in done - {waiting}:
        run.result()
        raise QueueUnread(f"{run.get_name()} has ended, and nobody asked for it")


async def _ended(runs: set[asyncio.Task[None]], hurry: asyncio.Event, grace_s: float) -> None:
    all_ended = asyncio.create_task(asyncio.wait(runs))
    hurried = asyncio.create_task(hurry.wait())
    await asyncio.wait({all_ended, hurried}, timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
    hurried.cancel()
    for run in runs:
        run.cancel()
    # When the server is gone this may never end; the process does.
    await asyncio.wait({all_ended}, timeout=_ABANDON_S)
