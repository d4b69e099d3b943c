"""Whether queues are really being read; a reader that is not, though the server answers, is mended or the process ends.

It watches consumption, not the connection: a socket that nobody answers on looks well for minutes. A read
that comes back proves less than a job that is taken, so it also asks the server whether one could be.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress

import structlog
from redis.asyncio import Redis
from redis.exceptions import ReadOnlyError

from producers.engine.jobs import answering
from producers.engine.ready import ready
from schemas.errors import EngineUnavailable
from worker.consumer import BLOCK_S
from worker.served_queue import QueueUnread, ServedQueue

log = structlog.get_logger()

LIMIT_S = 3 * BLOCK_S
_LOOK_S = 0.5
_ANSWER_S = 1.0
# One lost answer is a hiccup of a disk or a network, two are an outage.
_LOST_AFTER = 2
_GRACE_S = 0.5
_PULSE_S = 15
_UNREAD = "cannot be read, though the server answers"
_PASSED_OVER = "takes no job, though some are ready and there is room"


class Watchdog:
    """Looks twice a second at the server and at the reads of every queue."""

    def __init__(self, redis: Redis, queues: Sequence[ServedQueue], *, prefix: str, limit_s: float = LIMIT_S) -> None:
        """Ask through ``redis``, a fail-fast client of its own.

        No read may take longer than ``limit_s``, and no queue may have jobs for so long that it has room for and
        does not take.
        """
        self._redis = redis
        self._queues = queues
        self._prefix = prefix
        self._limit_s = limit_s
        self._unanswered = 0
        self._lost_at: float | None = None
        self._recovered_at = float("-inf")
        # Of each queue that has a job to be taken at this look: since which look it has had one.
        self._ready_since: dict[str, float] = {}

    @property
    def engine_up(self) -> bool:
        """The server answers, and writes."""
        return self._lost_at is None

    async def run(self) -> None:
        """Watch until cancelled.

        Raises:
            QueueUnread: a new connection was no cure for a queue that brings in no jobs though the server answers.
        """
        while True:
            self._note(await self._refusal())
            # While the server is gone there is nothing to mend: a new process would wait as this one does.
            self._ready_since = await self._ready() if self.engine_up else {}
            if self.engine_up:
                for queue in self._queues:
                    self._look(queue)
            await asyncio.sleep(_LOOK_S)

    async def _refusal(self) -> str:
        """Say why the server is of no use; nothing when it is. It is to write, for one that is full answers as well."""
        try:
            async with asyncio.timeout(_ANSWER_S), answering():
                await self._redis.set(f"corral:{self._prefix}:pulse", "", ex=_PULSE_S)
        except EngineUnavailable as error:
            # One that has become a replica is no outage: over a new connection there may be a primary.
            cause = error.__cause__
            return "" if isinstance(cause, ReadOnlyError) else f"{type(cause).__name__}: {cause}"
        except TimeoutError:
            return "TimeoutError: it does not answer"
        return ""

    async def _ready(self) -> dict[str, float]:
        now, names = time.monotonic(), set[str]()
        with suppress(EngineUnavailable, TimeoutError):
            async with asyncio.timeout(_ANSWER_S):
                names = await ready(self._redis, self._prefix, [queue.name for queue in self._queues])
        return {name: self._ready_since.get(name, now) for name in names}

    def _note(self, refusal: str) -> None:
        now = time.monotonic()
        self._unanswered = self._unanswered + 1 if refusal else 0
        if self._unanswered == _LOST_AFTER:
            self._lost_at = now
            log.warning("engine.lost", reason=refusal)
        elif not refusal and self._lost_at is not None:
            log.info("engine.recovered", outage_s=round(now - self._lost_at, 1))
            self._lost_at, self._recovered_at = None, now

    def _look(self, queue: ServedQueue) -> None:
        now, unread, passed_over = time.monotonic(), queue.unread_since, self._passed_over_since(queue)
        if unread is not None and unread < self._recovered_at:
            # The read may be waiting for an answer that the outage has swallowed, or before its next try.
            if now - self._recovered_at > _GRACE_S:
                queue.reconnect()
        elif unread is not None and now - unread > self._limit_s:
            self._mend(queue, _UNREAD)
        elif passed_over is not None and now - passed_over > self._limit_s:
            self._mend(queue, _PASSED_OVER)
        elif queue.proven and passed_over is None:
            queue.trouble = ""

    def _passed_over_since(self, queue: ServedQueue) -> float | None:
        # At each look since then there was a job to be taken, and all the time room for it here. Where other workers
        # take them all, none is left at one look or the other.
        ready_since, vacant_since = self._ready_since.get(queue.name), queue.vacant_since
        return None if ready_since is None or vacant_since is None else max(ready_since, vacant_since)

    def _mend(self, queue: ServedQueue, trouble: str) -> None:
        if queue.trouble:
            log.error("queue.unread", queue=queue.name, reason=trouble, limit_s=self._limit_s)
            raise QueueUnread(f"the queue {queue.name} {trouble}")
        queue.trouble = trouble
        log.warning("queue.silent", queue=queue.name, reason=trouble, limit_s=self._limit_s)
        queue.reconnect()
