"""What sends callbacks, as the product opens it, for tests that deliver in their own process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic import SecretStr
from redis.asyncio import Redis
from ssrfguard import Resolver

from producers.callbacks.endpoints import Endpoints
from producers.callbacks.seal import new_key
from schemas.settings import CallbackSettings
from tests.support.fleet import Fleet
from worker.adapters.endpoint_callback_sender import Desk, EndpointCallbackSender, signing_keys
from worker.adapters.engine_job_reader import EngineJobReader
from worker.adapters.guarded_http import HttpPost
from worker.guarded_client import GuardedClient

SEALING_KEY = new_key()


@asynccontextmanager
async def callback_sender(
    fleet: Fleet,
    secret: str,
    *,
    timeout_s: float = 20.0,
    allow_loopback: bool = True,
    resolver: Resolver | None = None,
    desk: Desk | None = None,
    **settings: object,
) -> AsyncIterator[EndpointCallbackSender]:
    """Send to receivers on this machine; without a ``desk`` it is one of these settings of the worker."""
    desk = desk or desk_of(fleet.redis, **settings)
    async with GuardedClient(allow_loopback=allow_loopback, resolver=resolver) as client:
        yield EndpointCallbackSender(HttpPost(client, timeout_s=timeout_s), signing_keys(SecretStr(secret)), desk)


def desk_of(redis: Redis, **settings: object) -> Desk:
    """Give what is kept of callbacks and receivers, secrets under ``SEALING_KEY`` unless the settings say otherwise."""
    given = {"redis_url": "redis://unused", "sealing_keys": SEALING_KEY, **settings}
    return Desk.of(CallbackSettings.model_validate(given), redis)


def endpoints_of(redis: Redis, **settings: object) -> Endpoints:
    """Give the endpoints of all tenants."""
    return desk_of(redis, **settings).endpoints


def job_reader(fleet: Fleet) -> EngineJobReader:
    """Give the other port of the handlers of callbacks."""
    return EngineJobReader(fleet.engine, fleet.redis, prefix="bull")
