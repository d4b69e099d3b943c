"""How long one request may wait for the queue's server, whatever it asks of it and how often."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from fastapi import Request

from schemas.errors import EngineUnavailable

# A caller hears of an outage within 0.5 s, also as one of fifty: the rest is for their answers.
SILENCE_S = 0.2
_TURN_S = 0.025


@dataclass
class _Patience:
    """What is left of a request's time, in seconds in which this thread had nothing to do.

    A clock would also count the time in which the process works for others, or waits for a core that
    the machine's parsers have: a burst of requests would then be refused for the silence of a server
    whose answers lie there unread.
    """

    left_s: float = SILENCE_S
    _timer: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def bound(self) -> AsyncIterator[None]:
        """End what is being waited for when the time is used up."""
        try:
            async with asyncio.timeout(None) as limit:
                self._next(limit)
                yield
        except TimeoutError as error:
            raise EngineUnavailable("the queue's server does not answer in time; try again shortly") from error
        finally:
            if self._timer is not None:
                self._timer.cancel()

    def _next(self, limit: asyncio.Timeout) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_TURN_S, self._turn, limit, loop.time(), _occupied_s())

    def _turn(self, limit: asyncio.Timeout, since_s: float, occupied_s: float) -> None:
        now_s = asyncio.get_running_loop().time()
        self.left_s -= max(0.0, (now_s - since_s) - (_occupied_s() - occupied_s))
        if self.left_s > 0:
            self._next(limit)
        else:
            limit.reschedule(now_s)


def engine_time(request: Request) -> AbstractAsyncContextManager[None]:
    """Bound what is left of the request's time with the server: a fifth of a second of silence.

    Raises:
        EngineUnavailable: the time is over.
    """
    if not hasattr(request.state, "patience"):
        request.state.patience = _Patience()
    patience: _Patience = request.state.patience
    return patience.bound()


def _occupied_s() -> float:
    """How long this thread has worked or waited for a core, in seconds; only Linux tells of the waiting."""
    try:
        figures = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
    except OSError:
        return time.thread_time()
    try:
        _, waited_ns, _ = os.read(figures, 64).split()
    finally:
        os.close(figures)
    return time.thread_time() + int(waited_ns) / 1e9
