"""Has delayed jobs of a queue taken now, before their time and before all that wait."""

from collections.abc import Sequence
from typing import Any

from bullmq import Queue
from redis.asyncio import Redis

# The engine's script puts a job at the back of the line, where jobs that were added come in. The front
# is where the engine puts a job with the option ``lifo``.
_BACK, _FRONT = '"LPUSH", isPausedOrMaxed', '"RPUSH", isPausedOrMaxed'


class Promotion:
    """Promotes by the engine's own script, but to the front; it is loaded once."""

    def __init__(self, redis: Redis, *, prefix: str, queue: str) -> None:
        """Speak through ``redis``, which the caller closes."""
        self._scripts = Queue(queue, {"connection": redis, "prefix": prefix}).backend.scripts
        text = self._scripts.commands["promote"].script
        self._promote: Any = redis.register_script(text.replace(_BACK, _FRONT))

    async def __call__(self, engine_ids: Sequence[str]) -> None:
        """Have these jobs taken next, in this order; one that is not delayed, or gone, stays as it is."""
        for engine_id in reversed(engine_ids):
            keys, args = self._scripts.promoteArgs(engine_id)
            await self._promote(keys=keys, args=args)
