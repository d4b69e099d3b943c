"""The reconciler of a worker process takes its turns, and outlasts the server's absence."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

from corral.valkey import ValkeyServer
from producers import connection
from producers.engine.new_job import Keep
from producers.engine.reconciliation import Reconciliation
from tests.support.callback import wanting
from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.fleet import QUEUE, Fleet
from tests.support.until import until
from worker.reconciler import Reconciler

ANYWHERE = "http://127.0.0.1:9/"


@asynccontextmanager
async def reconciling(proxy: FaultProxy) -> AsyncIterator["asyncio.Task[None]"]:
    """Run one that looks ten times a second, by way of the proxy."""
    async with connection.fail_fast(f"redis://127.0.0.1:{proxy.port}/0") as redis:
        reconciliation = Reconciliation(redis, prefix="bull", queues=[QUEUE], keep=Keep(3600))
        running = asyncio.create_task(Reconciler(reconciliation, every_s=0.1).run())
        yield running
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_it_looks_again_and_again(fleet: Fleet, valkey: ValkeyServer) -> None:
    """In turn with another; what comes after a turn that has found nothing is found by a later one."""
    async with fault_proxy(valkey.socket) as proxy, reconciling(proxy), reconciling(proxy):
        await until(lambda: fleet.redis.exists("corral:reconciliation:bull"))
        for count in (1, 2):
            await fleet.add_raw(wanting(ANYWHERE))
            await until(partial(_counted, fleet, count))


async def _counted(fleet: Fleet, count: int) -> bool:
    return (await fleet.engine.counts("callbacks"))["waiting-children"] == count


async def test_it_outlasts_an_outage(fleet: Fleet, valkey: ValkeyServer) -> None:
    """The server is away for some turns; then they go on."""
    async with fault_proxy(valkey.socket) as proxy, reconciling(proxy) as running:
        await fleet.add_raw(wanting(ANYWHERE))
        await until(partial(_counted, fleet, 1))
        proxy.refuse()
        proxy.cut()
        tried = proxy.accepted
        await until(lambda: proxy.accepted >= tried + 3)
        await fleet.add_raw(wanting(ANYWHERE))
        proxy.accept()
        await until(partial(_counted, fleet, 2))
        assert not running.done()
