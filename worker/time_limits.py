"""How long an attempt may run, and how long it may be silent."""

import asyncio
from collections.abc import Callable
from math import inf
from types import TracebackType
from typing import Self

from schemas.envelope import Limits
from schemas.errors import CorralError, JobHeartbeatLost, JobTimedOut


class TimeLimits:
    """Watches both limits with one timer for the length of a ``with`` block.

    A sign of life costs a look at the clock: only a timer that rings is set anew.
    """

    __slots__ = ("_alive_at", "_end", "_limits", "_loop", "_run_until", "_timer")

    def __init__(self, limits: Limits, end: Callable[[CorralError], None]) -> None:
        """Tell ``end`` why, once, when a limit of ``limits`` is passed."""
        self._limits = limits
        self._end = end
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def alive(self) -> None:
        """Note a sign of life; after the block it is nothing."""
        self._alive_at = self._loop.time()

    def __enter__(self) -> Self:
        """Begin."""
        self._alive_at = now = self._loop.time()
        self._run_until = inf if self._limits.run_s is None else now + self._limits.run_s
        self._set_timer()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()

    @property
    def _silent_until(self) -> float:
        heartbeat_s = self._limits.heartbeat_s
        return inf if heartbeat_s is None else self._alive_at + heartbeat_s

    def _set_timer(self) -> None:
        due = min(self._run_until, self._silent_until)
        self._timer = self._loop.call_at(due, self._ring) if due < inf else None

    def _ring(self) -> None:
        now = self._loop.time()
        if now >= self._run_until:
            self._end(JobTimedOut(f"the job ran for longer than {self._limits.run_s:g} s; split the work"))
        elif now >= self._silent_until:
            self._end(JobHeartbeatLost(f"no sign of life from the job for {self._limits.heartbeat_s:g} s"))
        else:
            self._set_timer()
