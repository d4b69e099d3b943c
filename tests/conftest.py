"""What tests of every level share: a real Valkey, the API in this process, and a whole stack of processes."""

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis

from corral.receiver import Receiver, receiving
from corral.stack import Stack, free_port, new_secret, running
from corral.valkey import ValkeyServer, embedded_valkey
from producers.api.app import build
from producers.settings import ApiSettings
from schemas.job_spec import catalogue
from tests.support.key_leak import leaked_keys

# onnxruntime reports to its maker unless it is told not to before it loads.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

# A shell runs what it puts into the background deaf to Ctrl-C, and every process that a test starts would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """A Valkey for all tests of this process; ``redis`` empties it after each."""
    with embedded_valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
async def redis(valkey: ValkeyServer) -> AsyncIterator[Redis]:
    """A client of an empty Valkey. When the test ends, no key may be left that nobody owns."""
    async with Redis.from_url(valkey.url, decode_responses=True) as client:
        await client.flushall()
        yield client
        leaked = await leaked_keys(client)
        await client.flushall()
    assert not leaked, f"keys without owner or time to live: {leaked}"


@pytest.fixture
def api_settings(valkey: ValkeyServer, tmp_path: Path) -> ApiSettings:
    """The API's settings for the tests' Valkey and an empty store."""
    return ApiSettings(redis_url=valkey.url, data_folder=tmp_path)


@asynccontextmanager
async def serving(app: FastAPI, *, token: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """Run an app in this process, started and stopped as a server does, and give a client of it."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client,
    ):
        yield client


@pytest.fixture
async def api(redis: Redis, api_settings: ApiSettings) -> AsyncIterator[httpx.AsyncClient]:  # noqa: ARG001 - empties the server
    """A client of the API, which runs in this process on the tests' Valkey."""
    async with serving(build(api_settings, catalogue())) as client:
        yield client


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Corral as it runs on a laptop: its own Valkey, the API and a worker, as processes."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("CORRAL_LOG_FORMAT", "json")
        environment.setenv("CORRAL_CALLBACK_SECRET", new_secret())
        with running(tmp_path_factory.mktemp("stack"), api_port=free_port()) as started:
            yield started


@pytest.fixture
def receiver(stack: Stack) -> Iterator[Receiver]:
    """A receiver that verifies the stack's callbacks."""
    with receiving(stack.callback_secret) as listening:
        yield listening
