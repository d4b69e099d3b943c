"""Goes through what lies in queues, page by page over many turns, and remembers where it stopped.

The position lies in the server, so whoever has the next turn goes on. A page is asked for when the one before
has been dealt with, so others are served in between.
"""

import time
from collections.abc import AsyncGenerator, Awaitable
from typing import Any, cast

from redis.asyncio import Redis

# A script over a page takes the server about 1 ms. A turn looks at 10,000 jobs of a place, for what it leaves
# stays there, and at 100,000 that have ended, for those become more.
PAGE = 100
_PLACED_PAGES, _ENDED_PAGES = 100, 1_000
_LISTS = ("wait", "active")
# An end is entered by its worker's clock, so it may lie before one that was seen already.
_LATE_MS = 10_000

LIVE = (*_LISTS, "prioritized", "delayed", "waiting-children")
ENDS = ("completed", "failed")


class Walk:
    """Gives the engine's ids of jobs, as lists of ``PAGE`` at most."""

    def __init__(self, redis: Redis, *, prefix: str, name: str, forget_s: int) -> None:
        """Keep positions under ``name``; a walk that nobody has gone on for ``forget_s`` begins anew."""
        self._redis: Any = redis  # its types know nothing of decoded answers
        self._prefix = prefix
        self._positions = f"corral:{name}:{prefix}"
        self._forget_s = forget_s

    async def placed(self, queue: str, place: str) -> AsyncGenerator[list[str], None]:
        """Give what lies in a place, from where the last turn stopped. After the last page comes the first.

        What moves meanwhile may be passed over, or seen twice; the next round sees it.
        """
        key = f"{self._prefix}:{queue}:{place}"
        read = self._redis.lrange if place in _LISTS else self._redis.zrange
        begin = int(await self._position(key))
        for _ in range(_PLACED_PAGES):
            page = await read(key, begin, begin + PAGE - 1)
            if page:
                yield page
            begin = begin + PAGE if len(page) == PAGE else 0
            if begin == 0:
                break
        await self._go_on_at(key, begin)

    async def ended(self, queue: str, end: str) -> AsyncGenerator[list[str], None]:
        """Give what has ended since the last turn, the oldest end first, and once more what ended with its last."""
        key = f"{self._prefix}:{queue}:{end}"
        since, skip = await self._position(key), 0
        for _ in range(_ENDED_PAGES):
            page = await self._redis.zrangebyscore(key, since, "+inf", start=skip, num=PAGE, withscores=True)
            if page:
                yield [engine_id for engine_id, _ in page]
                last = page[-1][1]
                skip = (skip if last == since else 0) + sum(ended == last for _, ended in page)
                since = last
            if len(page) < PAGE:
                break
        await self._go_on_at(key, min(since, time.time() * 1000 - _LATE_MS))

    async def _position(self, key: str) -> float:
        return float(await cast("Awaitable[str | None]", self._redis.hget(self._positions, key)) or 0)

    async def _go_on_at(self, key: str, position: float) -> None:
        pipe = self._redis.pipeline(transaction=True)
        pipe.hset(self._positions, key, str(position))
        pipe.expire(self._positions, self._forget_s)
        await pipe.execute()
