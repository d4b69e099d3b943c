"""How long an attempt may run, and how long it may be silent."""

import asyncio
from collections.abc import Callable
from math import inf
from types import TracebackType
from typing import Self

from schemas.envelope import Limits
from schemas.errors import CorralError, JobHeartbeatLost, JobTimedOut


class TimeLimits:
    """Watches the limits of all attempts of one event loop with one timer, set for the one that is due first.

    An attempt that begins or ends, and a sign of life, cost a look at the clock: what is set anew is a
    timer that rings, and one for an attempt that is due before all others.
    """

    def __init__(self) -> None:
        """Watch nothing yet."""
        self._watched: set[Watch] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = inf

    def watch(self, limits: Limits, end: Callable[[CorralError], None]) -> "Watch":
        """Tell ``end`` why, once, when a limit is passed within the ``with`` block of what is given."""
        return Watch(self, limits, end)

    def add(self, watch: "Watch") -> None:
        """Begin to watch an attempt."""
        self._watched.add(watch)
        if watch.due < self._rings_at:
            self._ring_at(watch.due)

    def remove(self, watch: "Watch") -> None:
        """Watch an attempt no more. A timer that was its own rings for nothing."""
        self._watched.discard(watch)

    def _ring_at(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at = due
        self._timer = asyncio.get_running_loop().call_at(due, self._ring) if due < inf else None

    def _ring(self) -> None:
        now = asyncio.get_running_loop().time()
        for watch in [one for one in self._watched if one.due <= now]:
            self._watched.discard(watch)
            watch.ring(now)
        self._ring_at(min((one.due for one in self._watched), default=inf))


class Watch:
    """One attempt under its limits, for the length of a ``with`` block."""

    __slots__ = ("_end", "_limits", "_run_until", "_silent_until", "_time", "_time_limits")

    def __init__(self, time_limits: TimeLimits, limits: Limits, end: Callable[[CorralError], None]) -> None:
        """Tell ``end`` why, when a limit of ``limits`` is passed."""
        self._time_limits = time_limits
        self._limits = limits
        self._end = end
        self._time = asyncio.get_running_loop().time
        self._silent_until = inf

    @property
    def due(self) -> float:
        """When the next limit is passed, by the loop's clock."""
        return min(self._run_until, self._silent_until)

    def alive(self) -> None:
        """Note a sign of life; after the block it is nothing."""
        if self._limits.heartbeat_s is not None:
            self._silent_until = self._time() + self._limits.heartbeat_s

    def ring(self, now: float) -> None:
        """Tell which limit was passed."""
        if now >= self._run_until:
            self._end(JobTimedOut(f"the job ran for longer than {self._limits.run_s:g} s; split the work"))
        else:
            self._end(JobHeartbeatLost(f"no sign of life from the job for {self._limits.heartbeat_s:g} s"))

    def __enter__(self) -> Self:
        """Begin."""
        self._run_until = inf if self._limits.run_s is None else self._time() + self._limits.run_s
        self.alive()
        self._time_limits.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Watch no more."""
        self._time_limits.remove(self)
