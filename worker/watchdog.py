"""Whether queues are really being read; a reader that is not, though the server answers, is mended or the process ends.

It watches consumption, not the connection: a socket that nobody answers on looks well for minutes.
"""

import asyncio
import time
from collections.abc import Sequence

import structlog
from redis.asyncio import Redis

from producers.engine.jobs import answering
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


class Watchdog:
    """Looks twice a second at the server and at the reads of every queue."""

    def __init__(self, redis: Redis, queues: Sequence[ServedQueue], *, limit_s: float = LIMIT_S) -> None:
        """Ask through ``redis``, a fail-fast client of its own; no read may take longer than ``limit_s``."""
        self._redis = redis
        self._queues = queues
        self._limit_s = limit_s
        self._unanswered = 0
        self._lost_at: float | None = None
        self._recovered_at = float("-inf")
        # Queues unread for a reason of this process's own: what a new process would mend.
        self.silent: set[str] = set()

    @property
    def engine_up(self) -> bool:
        """The server answers."""
        return self._lost_at is None

    async def run(self) -> None:
        """Watch until cancelled.

        Raises:
            QueueUnread: a queue could not be read over a new connection either, though the server answers.
        """
        while True:
            self._note(answered=await self._answers())
            # While the server is gone there is nothing to mend: a new process would wait as this one does.
            if self.engine_up:
                for queue in self._queues:
                    self._look(queue)
            await asyncio.sleep(_LOOK_S)

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(_ANSWER_S), answering():
                await self._redis.ping()
        except (EngineUnavailable, TimeoutError):
            return False
        return True

    def _note(self, *, answered: bool) -> None:
        now = time.monotonic()
        self._unanswered = 0 if answered else self._unanswered + 1
        if self._unanswered == _LOST_AFTER:
            self._lost_at = now
            log.warning("engine.lost")
        elif answered and self._lost_at is not None:
            log.info("engine.recovered", outage_s=round(now - self._lost_at, 1))
            self._lost_at, self._recovered_at = None, now

    def _look(self, queue: ServedQueue) -> None:
        now, since = time.monotonic(), queue.unread_since
        if since is not None and since < self._recovered_at:
            # The read may be waiting for an answer that the outage has swallowed, or before its next try.
            if now - self._recovered_at > _GRACE_S:
                queue.reconnect()
        elif since is None or now - since <= self._limit_s:
            if queue.proven:
                self.silent.discard(queue.name)
        elif queue.name in self.silent:
            log.error("queue.unread", queue=queue.name, limit_s=self._limit_s)
            raise QueueUnread(f"the queue {queue.name} cannot be read, though the server answers")
        else:
            self.silent.add(queue.name)
            log.warning("queue.silent", queue=queue.name, limit_s=self._limit_s)
            queue.reconnect()
