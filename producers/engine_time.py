"""How long one request may wait for the queue's server, whatever it asks of it and how often."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from fastapi import Request

from schemas.errors import EngineUnavailable

# A caller hears of an outage within 0.5 s, also as one of fifty: the rest is for their answers.
TURN_S = 0.025
TURNS = 10


@dataclass
class _Patience:
    """What is left of a request's time, in turns of the event loop.

    A clock would also count the time in which this process is busy with others: a burst of
    requests would then be refused for the silence of a server that has long answered. A turn
    comes late when the loop is busy, and on time when there is nothing but to wait.
    """

    turns: int = TURNS

    @asynccontextmanager
    async def bound(self) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(None) as limit:

                def turn() -> None:
                    nonlocal timer
                    self.turns -= 1
                    if self.turns <= 0:
                        limit.reschedule(loop.time())
                    else:
                        timer = loop.call_later(TURN_S, turn)

                timer = loop.call_later(TURN_S, turn)
                try:
                    yield
                finally:
                    timer.cancel()
        except TimeoutError as error:
            raise EngineUnavailable("the queue's server does not answer in time; try again shortly") from error


def engine_time(request: Request) -> AbstractAsyncContextManager[None]:
    """Bound what is left of the request's time with the server: a quarter of a second of silence.

    Raises:
        EngineUnavailable: the time is over.
    """
    if not hasattr(request.state, "patience"):
        request.state.patience = _Patience()
    patience: _Patience = request.state.patience
    return patience.bound()
