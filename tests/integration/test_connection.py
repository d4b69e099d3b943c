"""The two ways to connect: one that fails at once, one that waits (facts 1 and 3 about the engine's package)."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from bullmq import Queue
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import TimeoutError as TooSlow

from corral.valkey import ValkeyServer, embedded_valkey
from producers import connection


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ValkeyServer]:
    """A Valkey that a test may stop."""
    with embedded_valkey(tmp_path) as started:
        try:
            yield started
        finally:
            os.kill(started.pid, signal.SIGCONT)


@pytest.mark.parametrize("url", ["unix:///nowhere.sock", "redis://127.0.0.1:1"])
async def test_a_producer_is_told_at_once_that_the_server_is_gone(url: str) -> None:
    """Fact 3: with the package's own client an add waits for minutes, with ours not even for a try."""
    async with connection.fail_fast(url) as client:
        begun = time.perf_counter()
        with pytest.raises(NoConnection):
            await Queue("documents", {"connection": client}).add("convert", {}, {})
        assert time.perf_counter() - begun < 0.2


async def test_a_producer_is_told_in_time_that_the_server_hangs(server: ValkeyServer) -> None:
    """Whether it was connected before or not."""
    async with connection.fail_fast(server.url) as client:
        await client.ping()
        os.kill(server.pid, signal.SIGSTOP)
        for _ in range(2):
            begun = time.perf_counter()
            with pytest.raises((NoConnection, TooSlow)):
                await client.ping()
            assert time.perf_counter() - begun < 0.4
        os.kill(server.pid, signal.SIGCONT)
        assert await client.ping()


async def test_a_burst_of_producers_waits_its_turn(redis: Redis, valkey: ValkeyServer) -> None:
    """The library's pool raises for the 101st caller; ours shares what it has."""
    async with connection.fail_fast(valkey.url) as client:
        assert await asyncio.gather(*(client.ping() for _ in range(400))) == [True] * 400
    assert await redis.ping()


async def test_a_blocking_read_is_not_cut_off(redis: Redis, valkey: ValkeyServer) -> None:
    """Fact 1: with equal limits an idle worker's read fails on the client's side and is tried ever later."""
    async with connection.patient(valkey.url, block_s=5.0) as client:
        assert client.connection_pool.connection_kwargs["socket_timeout"] >= 5.0 + 10.0
        begun = time.perf_counter()
        assert await client.bzpopmin("nothing:marker", 5.2) is None
        assert 5.1 < time.perf_counter() - begun < 7
    assert await redis.ping()


async def test_a_worker_waits_for_a_server_that_hangs(server: ValkeyServer) -> None:
    """Its acknowledgement outlasts an outage."""
    async with connection.patient(server.url) as client:
        await client.ping()
        os.kill(server.pid, signal.SIGSTOP)
        saved = asyncio.ensure_future(client.set("saved", "1"))
        done, _ = await asyncio.wait({saved}, timeout=1.0)
        assert not done
        os.kill(server.pid, signal.SIGCONT)
        assert await saved
