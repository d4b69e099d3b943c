"""What this process says of itself every second, and the wishes that it reads in the same breath."""

import asyncio
import os
import platform
import resource
import secrets
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from producers.worker_registry import WorkerRegistry
from schemas import VERSION
from schemas.errors import EngineUnavailable
from schemas.worker_status import WorkerState, WorkerStatus, WorkerWish
from worker.served_queue import ServedQueue

_EVERY_S = 1.0
_ANSWER_S = 1.0
_KILOBYTE = 1024


class Heartbeat:
    """Reports one worker and obeys what is wished of it."""

    def __init__(self, registry: WorkerRegistry, queues: Sequence[ServedQueue]) -> None:
        """Speak for the queues of this process."""
        self._registry = registry
        self._queues = queues
        self._started_at = datetime.now(UTC)
        self._wish = WorkerWish()
        self._stopping = False
        # A container starts its process under the same number each time: a wish must not find the next one.
        self.worker_id = f"{platform.node()}-{os.getpid()}-{secrets.token_hex(3)}"

    @property
    def state(self) -> WorkerState:
        """Where the worker is on its way."""
        if self._stopping:
            return WorkerState.STOPPING
        if not self._wish.drained:
            return WorkerState.RUNNING
        return WorkerState.DRAINED if all(queue.idle for queue in self._queues) else WorkerState.DRAINING

    def stopping(self) -> None:
        """Say from now on that the worker takes nothing more and will end."""
        self._stopping = True

    async def run(self) -> None:
        """Report and obey until cancelled; an outage of the server is the watchdog's to tell."""
        while True:
            with suppress(EngineUnavailable, TimeoutError):
                async with asyncio.timeout(_ANSWER_S):
                    self._obey(await self._registry.report(self.status()))
            await asyncio.sleep(_EVERY_S)

    async def end(self) -> None:
        """Leave the list; without an answer the report runs out by itself."""
        with suppress(EngineUnavailable, TimeoutError):
            async with asyncio.timeout(_ANSWER_S):
                await self._registry.forget(self.worker_id)

    def status(self) -> WorkerStatus:
        """Describe this process as it is now."""
        return WorkerStatus(
            id=self.worker_id,
            host=platform.node(),
            pid=os.getpid(),
            version=VERSION,
            state=self.state,
            started_at=self._started_at,
            seen_at=datetime.now(UTC),
            memory_bytes=_memory_bytes(),
            queues=[queue.status() for queue in self._queues],
        )

    def _obey(self, wish: WorkerWish) -> None:
        self._wish = wish
        for queue in self._queues:
            queue.resize(0 if wish.drained else wish.concurrency.get(queue.name, queue.concurrency))


def _memory_bytes() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        # Where there is no /proc: the most there ever was, which macOS counts in bytes.
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * _KILOBYTE
