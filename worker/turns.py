"""Those who send to one target in this process take turns, for as long as that is a matter of moments.

To park a callback and to promote it costs several times what a quick receiver takes. So of many that come
at once those above the limit wait here first; only where that is in vain does the gate park them.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

# Who waits has a place in the worker, which others may need.
PATIENCE_S = 0.1


class Turns:
    """Lines before targets; one that nobody stands in is forgotten."""

    def __init__(self, *, patience_s: float = PATIENCE_S) -> None:
        """Have nobody wait for longer than ``patience_s``."""
        self._patience_s = patience_s
        self._lines: WeakValueDictionary[Hashable, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, target: Hashable, at_once: int) -> AsyncIterator[bool]:
        """Wait for a turn; False when none came in time, and the block runs all the same."""
        line = self._lines.setdefault((target, at_once), asyncio.Semaphore(at_once))
        has_turn = await self._wait(line)
        try:
            yield has_turn
        finally:
            if has_turn:
                line.release()

    async def _wait(self, line: asyncio.Semaphore) -> bool:
        try:
            async with asyncio.timeout(self._patience_s):
                await line.acquire()
        except TimeoutError:
            return False
        return True
