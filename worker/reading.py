"""Whether a queue is being read: since when a read has not come back, and what came of the last one."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from redis.asyncio import Redis

from schemas.errors import EngineUnavailable
from worker.consumer import Consumer
from worker.consumer_options import ConsumerOptions
from worker.taken_job import TakenJob


@dataclass
class Reading:
    """What is known of one reader.

    ``since`` is when the present read began, None when there is none; ``failed_at`` when the first of
    the failures began that nothing has followed yet. A read after one that was ``in_vain`` waits for
    a job; ``waited`` says that such a one has returned. ``empty_since`` is when the first of the reads
    began that have brought no job.
    """

    clock: Callable[[], float] = time.monotonic
    since: float | None = None
    failed_at: float | None = None
    has_returned: bool = False
    in_vain: bool = False
    waited: bool = False
    empty_since: float | None = None
    opened_at: float = field(init=False)

    def __post_init__(self) -> None:
        """Begin now."""
        self.opened_at = self.clock()

    @property
    def well(self) -> bool:
        """It has read, and its last read was answered."""
        return self.has_returned and self.failed_at is None

    @property
    def proven(self) -> bool:
        """It has waited for a job and come back, or its places are all used: a first look proves nothing."""
        return self.well and (self.waited or self.since is None)

    @property
    def vacant_since(self) -> float | None:
        """Since when there has been room for a job, and none has come; None when all places are used."""
        return self.empty_since if self.since is not None else None

    @property
    def unread_since(self) -> float | None:
        """Since when there is no answer; None when none is waited for, because all places are used."""
        if not self.has_returned and self.failed_at is None:
            return self.opened_at
        return self.since if self.failed_at is None else self.failed_at


class WatchedConsumer(Consumer):
    """A consumer whose reads are noted."""

    def __init__(self, redis: Redis, options: ConsumerOptions, reading: Reading) -> None:
        """Read through ``redis`` and note it in ``reading``."""
        super().__init__(redis, options)
        self._reading = reading

    async def take(self) -> TakenJob | None:
        """Take as ever, and note when the read began and how it ended."""
        reading = self._reading
        reading.since = reading.clock()
        reading.empty_since = reading.empty_since or reading.since
        try:
            taken = await super().take()
        except EngineUnavailable:
            reading.failed_at = reading.failed_at or reading.since
            raise
        finally:
            reading.since = None
        reading.has_returned, reading.failed_at = True, None
        reading.waited = reading.waited or reading.in_vain
        reading.in_vain = taken is None
        if taken is not None:
            reading.empty_since = None
        return taken
