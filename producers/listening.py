"""Callbacks as they are sent, for those who listen; kept in the server only while somebody does.

``corral:<prefix>:listening:<tenant>``  somebody listens to this tenant's callbacks; runs out 15 s after their last look
``corral:<prefix>:sent:<tenant>``       stream of the newest 200; runs out a minute after the last one

A view and never a way to deliver: what nobody fetched in time is gone here, and was sent all the same.
"""

import time
from contextlib import suppress
from typing import cast

from redis.asyncio import Redis

from producers.engine.jobs import answering
from schemas.errors import EngineUnavailable
from schemas.sent_callback import SentCallback

LISTENING_TTL_S = 15
# For so long a worker may not have noticed that somebody listens.
UNHEARD_S = 0.2
_TENANTS = 1_000
# A body has 20 kB at the most, so this is 4 MB for each tenant that listens.
KEEP = 200
_KEEP_S = 60
_AT_ONCE = 50
_FIELD = "callback"


class Listening:
    """The callbacks of each tenant, as they are sent."""

    def __init__(self, redis: Redis, *, prefix: str) -> None:
        """Read and write through ``redis``, which the caller closes."""
        self._redis = redis
        self._home = f"corral:{prefix}"
        self._nobody_until: dict[str, float] = {}

    async def tell(self, tenant: str, sent: SentCallback) -> None:
        """Keep a callback for those who listen; without one this is a look now and then, and it never fails."""
        if time.monotonic() < self._nobody_until.get(tenant, 0.0):
            return
        with suppress(EngineUnavailable):
            async with answering():
                if not await self._redis.exists(self._listening(tenant)):
                    self._remember(tenant)
                    return
                pipe = self._redis.pipeline(transaction=True)
                pipe.xadd(self._sent(tenant), {_FIELD: sent.model_dump_json()}, maxlen=KEEP, approximate=False)
                pipe.expire(self._sent(tenant), _KEEP_S)
                await pipe.execute()

    async def begin(self, tenant: str) -> str:
        """Listen, for as long as ``since`` is called; give the place to go on from. All is heard ``UNHEARD_S`` later.

        Raises:
            EngineUnavailable: the server does not answer.
        """
        async with answering():
            await self._redis.set(self._listening(tenant), "1", ex=LISTENING_TTL_S)
            newest = cast("list[tuple[str, object]]", await self._redis.xrevrange(self._sent(tenant), count=1))
        return newest[0][0] if newest else "0-0"

    async def since(self, tenant: str, place: str) -> list[tuple[str, SentCallback]]:
        """Give what was sent after a place, oldest first, each with its own place; 50 at the most.

        Raises:
            EngineUnavailable: the server does not answer.
        """
        pipe = self._redis.pipeline(transaction=False)
        pipe.set(self._listening(tenant), "1", ex=LISTENING_TTL_S)
        pipe.xrange(self._sent(tenant), min=f"({place}", count=_AT_ONCE)
        async with answering():
            _, entries = await pipe.execute()
        return [(place, SentCallback.model_validate_json(fields[_FIELD])) for place, fields in entries]

    def _remember(self, tenant: str) -> None:
        if len(self._nobody_until) >= _TENANTS:
            self._nobody_until.clear()
        self._nobody_until[tenant] = time.monotonic() + UNHEARD_S

    def _listening(self, tenant: str) -> str:
        return f"{self._home}:listening:{tenant}"

    def _sent(self, tenant: str) -> str:
        return f"{self._home}:sent:{tenant}"
