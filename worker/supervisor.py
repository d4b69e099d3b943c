"""Several worker processes, one per core: started, started anew when they die, told to stop, reported on."""

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from producers.child_process import bound_to_this_process
from producers.restart import RestartDelay
from worker.exit_code import MISCONFIGURED, STOPPED
from worker.health_server import fetch
from worker.stop_signals import StopSignals

log = structlog.get_logger()

_KILL_S = 10.0
_POLL_S = 0.05


@dataclass(frozen=True)
class Plan:
    """A process to keep running: a module of ours, what it is told, and where it answers for itself."""

    number: int
    arguments: Sequence[str]
    environment: Mapping[str, str]
    socket: Path


@dataclass(eq=False)
class Kept:
    """A process that is kept running. ``process`` is None while it waits to be started."""

    plan: Plan
    process: Process | None = None
    restarts: int = 0
    codes: list[int] = field(default_factory=list)

    def tell(self, number: signal.Signals) -> None:
        """Send a signal, if it runs."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)


class Supervisor:
    """Keeps processes running until it is told to stop."""

    def __init__(self, plans: Sequence[Plan], *, grace_s: float) -> None:
        """Allow each process ``grace_s`` for the end of its jobs, and some seconds for its own."""
        self.kept = [Kept(plan) for plan in plans]
        self._grace_s = grace_s
        self._stop = asyncio.Event()
        self._code = STOPPED

    async def run(self) -> int:
        """Keep all running until SIGTERM or SIGINT, and give the code to exit with.

        The first process proves the settings: the others begin when it answers. So one that is
        misconfigured says so once, and ends the whole.
        """
        signals = StopSignals.listen(self._told)
        first, *others = self.kept
        keeping = {asyncio.create_task(self._keep(first))}
        await self._answered(first)
        if not self._stop.is_set():
            keeping |= {asyncio.create_task(self._keep(one)) for one in others}
        ended = asyncio.create_task(asyncio.wait(keeping))
        await self._stop.wait()
        hurried = asyncio.create_task(signals.second.wait())
        await asyncio.wait({ended, hurried}, timeout=self._grace_s + _KILL_S, return_when=asyncio.FIRST_COMPLETED)
        # One that has heard the second signal as well ends at once, if it can.
        hurried.cancel()
        await asyncio.wait({ended}, timeout=_KILL_S)
        for one in self.kept:
            one.tell(signal.SIGKILL)
        await ended
        return self._code

    def _told(self) -> None:
        self._stop.set()
        for one in self.kept:
            one.tell(signal.SIGTERM)

    async def _keep(self, one: Kept) -> None:
        delay = RestartDelay()
        while not self._stop.is_set():
            begun = time.monotonic()
            one.process = await _start(one.plan)
            self._report("process.started", one)
            if self._stop.is_set():
                one.tell(signal.SIGTERM)  # it came while this one was being started
            one.codes.append(await one.process.wait())
            if one.codes[-1] == MISCONFIGURED:
                self._code = MISCONFIGURED
                self._told()
            if self._stop.is_set():
                self._report("process.ended", one)
                return
            restart_s = delay.after(time.monotonic() - begun)
            self._report("process.died", one, restart_s=restart_s)
            one.restarts += 1
            with suppress(TimeoutError):
                async with asyncio.timeout(restart_s):
                    await self._stop.wait()

    async def _answered(self, first: Kept) -> None:
        while not self._stop.is_set() and await fetch(first.plan.socket, "/livez") is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_POLL_S):
                    await self._stop.wait()

    def _report(self, event: str, one: Kept, **facts: float) -> None:
        pid = one.process.pid if one.process else None
        known: dict[str, object] = {"process": one.plan.number, "pid": pid, "restarts": one.restarts, **facts}
        if event == "process.started":
            log.info(event, **known)
        elif event == "process.ended" and one.codes[-1] == STOPPED:
            log.info(event, code=STOPPED, **known)
        else:
            log.warning(event, code=one.codes[-1], **known)


async def _start(plan: Plan) -> Process:
    plan.socket.unlink(missing_ok=True)
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *plan.arguments,
        env={**os.environ, **plan.environment},
        # A session of its own, so that Ctrl-C reaches us alone and every process hears it once.
        start_new_session=True,
        preexec_fn=bound_to_this_process(signal.SIGKILL) if sys.platform == "linux" else None,
    )
