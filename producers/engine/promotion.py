"""Has delayed jobs of a queue taken now, before their time."""

from collections.abc import Iterable
from contextlib import suppress

from bullmq import Queue
from redis.asyncio import Redis


class Promotion:
    """Promotes by the engine's own script, which is loaded once."""

    def __init__(self, redis: Redis, *, prefix: str, queue: str) -> None:
        """Speak through ``redis``, which the caller closes."""
        self._scripts = Queue(queue, {"connection": redis, "prefix": prefix}).backend.scripts

    async def __call__(self, engine_ids: Iterable[str]) -> None:
        """Have these jobs taken next, in this order; one that is not delayed, or gone, stays as it is."""
        for engine_id in engine_ids:
            # The package's class for a script that says no: the job is not delayed (any more).
            with suppress(TypeError):
                await self._scripts.promote(engine_id)
