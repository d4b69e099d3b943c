"""What tests of faults share: worker processes on a Valkey of their own, and a proxy that fails."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from corral.valkey import ValkeyServer, embedded_valkey
from producers.engine.jobs import Engine
from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.fleet import Fleet
from tests.support.worker_process import WorkerProcesses, worker_processes


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[WorkerProcesses]:
    """Workers on a Valkey of their own."""
    with embedded_valkey(tmp_path / "data") as server, worker_processes(server.url, tmp_path) as running:
        yield running


@pytest.fixture
async def fleet(workers: WorkerProcesses) -> AsyncIterator[Fleet]:
    """Jobs on that Valkey."""
    async with Redis.from_url(workers.url, decode_responses=True) as redis:
        yield Fleet(redis, Engine(redis, prefix="bull", keep_finished_s=3600))


@pytest.fixture
async def proxy(valkey: ValkeyServer) -> AsyncIterator[FaultProxy]:
    """A proxy before the tests' Valkey."""
    async with fault_proxy(valkey.socket) as between:
        yield between
