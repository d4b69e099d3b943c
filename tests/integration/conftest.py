"""What tests on a real Valkey share: jobs and workers on it."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from producers.engine.jobs import Engine
from tests.support.callback import sending
from tests.support.fleet import Fleet
from tests.support.http_receiver import HttpReceiver, receiving


@pytest.fixture
def fleet(redis: Redis) -> Fleet:
    """Jobs and workers on the tests' Valkey."""
    return Fleet(redis, Engine(redis, prefix="bull", keep_finished_s=3600))


@pytest.fixture
async def receiver() -> AsyncIterator[HttpReceiver]:
    """Who is called back."""
    async with receiving() as running:
        yield running


@pytest.fixture
async def ports(fleet: Fleet) -> AsyncIterator[dict[type, object]]:
    """What the handler of callbacks needs, as the product opens it."""
    async with sending(fleet) as opened:
        yield opened
