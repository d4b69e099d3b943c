"""What tests on a real Valkey share: jobs and workers on it."""

import pytest
from redis.asyncio import Redis

from producers.engine.jobs import Engine
from tests.support.fleet import Fleet


@pytest.fixture
def fleet(redis: Redis) -> Fleet:
    """Jobs and workers on the tests' Valkey."""
    return Fleet(redis, Engine(redis, prefix="bull", keep_finished_s=3600))
