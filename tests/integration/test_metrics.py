"""The metrics that docs/reference/metrics.md lists, and what they count."""

import asyncio
import os
from typing import Any

import httpx
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from producers.engine.queue_lag import lags
from producers.settings import ApiSettings
from producers.trace import Off
from schemas.errors import CallbackRejected
from schemas.jobs.callbacks import DELIVER, DeliveredCallback
from schemas.outcome import Completed, DeadLettered, Outcome
from tests.support import metric_table
from tests.support.delivery import delivery
from tests.support.fleet import QUEUE, Fleet, entry, spec, succeed
from tests.support.until import until
from worker.metrics import WorkerMetrics
from worker.observed import Observed
from worker.process_tree import ChildProcesses, below
from worker.registry import Registry


async def test_the_page_lists_exactly_what_api_and_worker_serve(redis: Redis, api_settings: ApiSettings) -> None:
    """Whoever adds or changes a series writes the page anew: python -m tests.support.metric_table."""
    await redis.ping()
    api = await metric_table.of_api(api_settings)
    assert metric_table.FILE.read_text() == metric_table.table(api, metric_table.of_worker())


async def test_the_lag_of_a_queue_is_the_wait_of_the_next_job(fleet: Fleet, redis: Redis) -> None:
    """In the plain list and among priorities; a delayed job counts from when it was due."""
    assert (await lags(redis, "bull", [QUEUE]))[QUEUE].next_waited_s == 0
    every: list[dict[str, Any]] = [{}, {"priority": 3}, {"delay": 60_000}]
    for options in every:
        job_id = await fleet.add_raw({}, **options)
        key = f"bull:{QUEUE}:{job_id.removeprefix(f'{QUEUE}_')}"
        before_ms = 30_000 if not options else 90_000
        await redis.hset(key, "timestamp", int(str(await redis.hget(key, "timestamp"))) - before_ms)
        await redis.zincrby(f"bull:{QUEUE}:delayed", -70_000 * 0x1000, job_id.removeprefix(f"{QUEUE}_"))
        if "delay" not in options:
            await redis.zrem(f"bull:{QUEUE}:delayed", job_id.removeprefix(f"{QUEUE}_"))
    lag = (await lags(redis, "bull", ["none", QUEUE]))[QUEUE]
    assert 90 <= lag.next_waited_s < 95
    assert 10 <= lag.overdue_s < 15


async def test_the_api_serves_the_lag(api: httpx.AsyncClient) -> None:
    """For every queue, also an empty one."""
    page = (await api.get("/metrics")).text
    assert 'corral_next_waited_seconds{queue="documents"} 0.0' in page
    assert 'corral_delayed_overdue_seconds{queue="callbacks"} 0.0' in page
    assert "process_resident_memory_bytes" in page


async def test_callbacks_count_by_how_they_ended() -> None:
    """Delivered with its time, unwanted by `events`, or the code of the error."""
    registry = Registry([entry(succeed, DELIVER)])
    metrics = WorkerMetrics(registry)
    sent = {"webhook_id": "1", "type": "job.completed", "status": 200, "latency_s": 0.2}
    for outcome in (
        Completed.of(DeliveredCallback(**sent, sent=True)),
        Completed.of(DeliveredCallback(webhook_id="1", type="job.failed", sent=False)),
        DeadLettered(CallbackRejected("no")),
    ):
        await Observed(answering(outcome), registry, metrics, Off())(delivery(queue="callbacks", name=DELIVER.kind))
    counted = {result: value(metrics.registry, "corral_callbacks_total", result=result) for result in RESULTS}
    assert counted == dict.fromkeys(RESULTS, 1.0)
    assert value(metrics.registry, "corral_callback_seconds_sum") == 0.2
    assert value(metrics.registry, "corral_attempts_started_total", kind=DELIVER.kind) == 3


async def test_a_worker_counts_its_children_and_their_memory() -> None:
    """As the system has them, grandchildren among them."""
    registry = CollectorRegistry()
    registry.register(ChildProcesses())
    shell = await asyncio.create_subprocess_exec("sh", "-c", "exec 3<&0; cat <&3 & wait", stdin=asyncio.subprocess.PIPE)
    assert shell.stdin is not None
    try:
        await until(lambda: shell.pid in below(os.getpid()))
        await until(lambda: list(below(shell.pid)))
        assert value(registry, "corral_child_processes") >= 2
        assert value(registry, "corral_child_memory_bytes") > 100_000
    finally:
        shell.kill()
        await shell.wait()


async def test_every_attempt_counts_as_begun() -> None:
    """Also one of a name that no handler has."""
    registry = Registry([entry(succeed)])
    metrics = WorkerMetrics(registry)
    observed = Observed(answering(Completed.of(spec().result())), registry, metrics, Off())
    await observed(delivery())
    await observed(delivery(name="what"))
    assert value(metrics.registry, "corral_attempts_started_total", kind=spec().kind) == 1
    assert value(metrics.registry, "corral_attempts_started_total", kind="unknown") == 1


RESULTS = ("delivered", "unwanted", CallbackRejected.code)


def answering(outcome: Outcome) -> Any:  # noqa: ANN401 - an attempt
    """Make an attempt that ends as said."""

    async def attempt(_: object) -> Outcome:
        return outcome

    return attempt


def value(registry: CollectorRegistry, name: str, **labels: str) -> float:
    """Give a series' value."""
    found = registry.get_sample_value(name, labels)
    assert found is not None, name
    return found
