"""Has delayed jobs taken now, before their time."""

from collections.abc import Iterable
from contextlib import suppress

from bullmq import Queue
from redis.asyncio import Redis


async def promote(redis: Redis, prefix: str, queue: str, engine_ids: Iterable[str]) -> None:
    """Have these jobs taken next, in this order; one that is not delayed, or gone, stays as it is."""
    scripts = Queue(queue, {"connection": redis, "prefix": prefix}).backend.scripts
    for engine_id in engine_ids:
        # The package's class for a script that says no: the job is not delayed (any more).
        with suppress(TypeError):
            await scripts.promote(engine_id)
