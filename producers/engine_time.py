"""How long one request may wait for the queue's server, whatever it asks of it and how often."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import Request

from schemas.errors import EngineUnavailable

# A caller hears of an outage within 0.5 s, also as one of fifty: the rest is for their answers.
LIMIT_S = 0.32


def engine_time(request: Request) -> AbstractAsyncContextManager[None]:
    """Bound what is left of the request's time with the server, which runs from its first use.

    Raises:
        EngineUnavailable: the time is over.
    """
    now = asyncio.get_running_loop().time()
    if not hasattr(request.state, "engine_ends_at"):
        request.state.engine_ends_at = now + LIMIT_S
    return _until(request.state.engine_ends_at)


@asynccontextmanager
async def _until(ends_at: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout_at(ends_at):
            yield
    except TimeoutError as error:
        raise EngineUnavailable("the queue's server does not answer in time; try again shortly") from error
