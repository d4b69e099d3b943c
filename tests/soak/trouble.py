"""The trouble of the soak: a worker process killed every few seconds, the server restarted every minute."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.child_process_ids import children
from tests.support.until import passed
from tests.support.valkey_owner import Owner, ready, start


@dataclass(frozen=True)
class Restart:
    """A restart of the server: when it was told, by ``time.time()``, whether in order, and until it answered."""

    at: float
    orderly: bool
    outage_s: float


class Server:
    """The server behind the queues, which may be restarted on its data."""

    def __init__(self, folder: Path) -> None:
        """Start it on a folder."""
        self._folder = folder
        self._owner: Owner = ready(start(folder))

    @property
    def url(self) -> str:
        """Where it is, also after a restart."""
        return self._owner.url

    def restart(self, *, orderly: bool) -> Restart:
        """End it, by SIGTERM or SIGKILL, start it anew, and return when it answers."""
        at = time.time()
        if not orderly:
            os.kill(self._owner.pid, signal.SIGKILL)
        self.stop()
        self._owner = ready(start(self._folder))
        return Restart(at, orderly, time.time() - at)

    def stop(self) -> None:
        """End it in order."""
        self._owner.end(signal.SIGTERM)


@dataclass
class Trouble:
    """What is done to the fleet below ``supervisor_pid`` and to the server, and what was done."""

    server: Server
    supervisor_pid: int
    rng: random.Random
    kills: int = 0
    restarts: list[Restart] = field(default_factory=list)

    async def make(self, *, kill_every_s: float, restart_every_s: float, stop: asyncio.Event) -> None:
        """Go on until ``stop``; a restart that has begun is brought to its end."""
        async with asyncio.TaskGroup() as group:
            group.create_task(_every(kill_every_s, self._kill, stop))
            group.create_task(_every(restart_every_s, self._restart, stop))

    async def _kill(self) -> None:
        if workers := children(self.supervisor_pid):
            with suppress(ProcessLookupError):
                os.kill(self.rng.choice(workers), signal.SIGKILL)
                self.kills += 1

    async def _restart(self) -> None:
        # In order and by force in turn. A thread, for the callers are to meet the outage.
        orderly = len(self.restarts) % 2 == 0
        self.restarts.append(await asyncio.to_thread(self.server.restart, orderly=orderly))


async def _every(interval_s: float, act: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
    while True:
        await passed(interval_s, unless=stop)
        if stop.is_set():
            return
        await act()
