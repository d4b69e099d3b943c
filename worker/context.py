"""What an attempt is given by the engine's side, and what a handler is given by the attempt."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from schemas.errors import Cancelled, CorralError, HandlerFailed
from schemas.job_status import Progress

P = TypeVar("P")

# A view of progress refreshes a few times a second; more writes would only cost.
_PROGRESS_EVERY_S = 0.2


class Cancellation:
    """The way to an attempt that is to end before its time: by its owner's wish, or by its limits.

    The attempt is the ``with`` block of it.
    """

    __slots__ = ("_reason", "_task")

    def __init__(self, *, requested: bool = False) -> None:
        """Begin with the owner's wish as it stood when the job was taken."""
        self._reason: CorralError | None = Cancelled("the job was cancelled before it began") if requested else None
        self._task: asyncio.Task[Any] | None = None

    def request(self) -> None:
        """End the attempt as its owner wishes."""
        self.end(Cancelled("the job was cancelled while it ran"))

    def end(self, reason: CorralError) -> None:
        """End the attempt at its next await, with ``reason``; nothing happens when it has ended or has one."""
        if self._task is not None and self._reason is None:
            self._reason = reason
            self._task.cancel()

    def __enter__(self) -> Self:
        """Begin the attempt, on the task that runs it.

        Raises:
            Cancelled: the end was asked for before.
        """
        if self._reason is not None:
            raise self._reason
        self._task = asyncio.current_task()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Tell whose a cancel is that has ended the attempt.

        One that came from elsewhere, of a worker that stops or has lost the job's lock, goes on.

        Raises:
            CorralError: the reason that ``end`` was given.
            HandlerFailed: nobody asked this task: the handler stumbled over another's cancelling.
        """
        task, self._task = cast("asyncio.Task[Any]", self._task), None
        stopped = isinstance(error, asyncio.CancelledError)
        if self._reason is None:
            if stopped and task.cancelling() == 0:
                raise HandlerFailed("the handler waited for something that was cancelled") from error
            return
        # As in asyncio.timeout: a cancel that came from elsewhere as well must stay one.
        if task.uncancel() > 0 and stopped:
            return
        if stopped or isinstance(error, Exception):
            # Also when it failed while it was being ended. What has come to its end is done.
            raise self._reason from error


@dataclass(slots=True)
class Delivery:
    """A job as the engine hands it over.

    ``number`` counts attempts from 1 and ``limit`` is how many the job may have. ``waited_s`` is
    the time it lay in the queue, None where nobody knows. ``failed`` is why the engine gave the job
    up before this attempt. ``set_progress`` and ``append_log`` write through to the engine and never
    fail.
    """

    id: str
    queue: str
    name: str
    data: object
    number: int
    limit: int
    waited_s: float | None
    set_progress: Callable[[Progress], Awaitable[None]]
    append_log: Callable[[str], Awaitable[None]]
    failed: CorralError | None = None
    cancellation: Cancellation = field(default_factory=Cancellation)


class Context:
    """The job that a handler works for; fills the port ``worker.ports.JobContext``."""

    __slots__ = ("_alive", "_delivery", "_held_back", "_ports", "_reported_at", "_tenant")

    def __init__(
        self, delivery: Delivery, *, tenant: str, ports: Mapping[type, object], alive: Callable[[], None] = lambda: None
    ) -> None:
        """Give a handler the ports its module names, and no other; ``alive`` hears of each sign of life."""
        self._delivery = delivery
        self._alive = alive
        self._tenant = tenant
        self._ports = ports
        self._reported_at = float("-inf")
        self._held_back: Progress | None = None

    @property
    def id(self) -> str:
        """The job's public id; the same on every attempt."""
        return self._delivery.id

    @property
    def tenant(self) -> str:
        """Whose job it is."""
        return self._tenant

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1."""
        return self._delivery.number

    def use(self, port: type[P]) -> P:
        """Reach a port that the handler's module names in ``PORTS``.

        Raises:
            KeyError: the module does not name it.
        """
        return cast("P", self._ports[port])

    async def progress(self, progress: Progress) -> None:
        """Tell the owner how far the job is: at most five times a second, and the newest wins."""
        self._alive()
        now = time.monotonic()
        if now - self._reported_at < _PROGRESS_EVERY_S:
            self._held_back = progress
            return
        self._reported_at, self._held_back = now, None
        await self._delivery.set_progress(progress)

    async def flush(self) -> None:
        """Write the progress that was held back, so that the last one is never lost."""
        if self._held_back is not None:
            held_back, self._held_back = self._held_back, None
            await self._delivery.set_progress(held_back)

    def heartbeat(self) -> None:
        """Give a sign of life, where there is no progress to tell."""
        self._alive()

    async def log(self, line: str) -> None:
        """Write a line for the owner, readable at ``GET /v1/jobs/{id}/logs``."""
        self._alive()
        await self._delivery.append_log(line)
