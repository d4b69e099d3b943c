"""Callbacks that wait in this process for a slot of their target, where that is a matter of moments.

To park a callback and to promote it costs several times what a quick receiver takes. Whoever waits here stands in the
target's line in the server like those that are parked, so the next one is the oldest all the same.
"""

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress

from schemas.errors import EngineUnavailable

# Who waits has a place in the worker, which others may need. So nobody waits for a target that serves fewer a second
# than a worker parks.
_QUICK_PER_S = 250.0
PATIENCE_S = 0.5
# Until it is noticed that another process has freed a slot for one that waits here.
_LOOK_S = 0.02
KNOWN_TARGETS = 1_000

# Of those that wait, gives the ones that have a slot.
Look = Callable[[list[str]], Awaitable[list[str]]]


class Waiting:
    """Who waits here, by target, and how long each target keeps a slot."""

    def __init__(self, *, patience_s: float = PATIENCE_S) -> None:
        """Have nobody wait for longer than ``patience_s``."""
        self._patience_s = patience_s
        self._waiting: defaultdict[str, dict[str, asyncio.Future[bool]]] = defaultdict(dict)
        self._looking: dict[str, asyncio.Task[None]] = {}
        self._took_s: OrderedDict[str, float] = OrderedDict()

    def learn(self, target: str, took_s: float) -> None:
        """Remember for how long the newest callback had its slot."""
        self._took_s[target] = took_s
        self._took_s.move_to_end(target)
        if len(self._took_s) > KNOWN_TARGETS:
            self._took_s.popitem(last=False)

    def is_quick(self, target: str, slots: int) -> bool:
        """Tell whether it is worth it to wait for a target; one that is not known is given the chance."""
        return self._took_s.get(target, 0.0) * _QUICK_PER_S <= slots

    async def wait(self, target: str, job_id: str, share: float, look: Look) -> bool:
        """Wait for a slot; True when the job has one, False when it must ask again: it was called, or waited in vain.

        ``share`` is the job's place in the line, from 1, for each slot of the target.
        """
        here = self._waiting[target]
        called: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        here[job_id] = called
        if target not in self._looking:
            self._looking[target] = asyncio.create_task(self._look(target, look))
        try:
            async with asyncio.timeout(self._patience_s):
                return await called
        except TimeoutError:
            # In all that time it has not been reached, so one callback takes as long at the least.
            self.learn(target, self._patience_s / share)
            return False
        finally:
            here.pop(job_id, None)

    def call(self, target: str, job_id: str, *, goes: bool) -> None:
        """Tell a job, if it waits here, that there is a slot for it; whether it ``goes`` without asking again."""
        called = self._waiting.get(target, {}).get(job_id)
        if called is not None and not called.done():
            called.set_result(goes)

    def dismiss(self, target: str) -> None:
        """Have all that wait here for a target ask again: it takes nothing now."""
        for job_id in self._waiting.get(target, {}):
            self.call(target, job_id, goes=False)

    async def _look(self, target: str, look: Look) -> None:
        here = self._waiting[target]
        while here:
            await asyncio.sleep(_LOOK_S)
            with suppress(EngineUnavailable):
                for job_id in await look(list(here)) if here else ():
                    self.call(target, job_id, goes=False)
        del self._looking[target], self._waiting[target]
