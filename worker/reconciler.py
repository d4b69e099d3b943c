"""Has left callbacks settled, again and again: the one place that runs a ``Reconciliation``."""

import asyncio

import structlog

from producers.engine.reconciliation import Reconciliation
from schemas.errors import EngineUnavailable

log = structlog.get_logger()

# Of the interval: whoever comes first after it has the next turn, also when clocks differ by a little.
_CLAIM = 0.9


class Reconciler:
    """Takes turns with those of all other processes: every ``every_s`` seconds one of them looks."""

    def __init__(self, reconciliation: Reconciliation, *, every_s: float) -> None:
        """Have ``reconciliation`` look."""
        self._reconciliation = reconciliation
        self._every_s = every_s

    async def run(self) -> None:
        """Look until cancelled; an outage of the server is the watchdog's to tell."""
        while True:
            try:
                if await self._reconciliation.claim(for_s=self._every_s * _CLAIM):
                    await self._turn()
            except EngineUnavailable as error:
                log.debug("engine.troubled", reason=str(error))
            await asyncio.sleep(self._every_s)

    async def _turn(self) -> None:
        done = await self._reconciliation.turn()
        if done.woken or done.adopted:
            log.info("callbacks.reconciled", woken=done.woken, adopted=done.adopted)
