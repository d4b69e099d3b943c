"""Who steered what, and when: a log line, and the newest thousand acts in the server."""

from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import cast

import structlog
from redis.asyncio import Redis

from producers.engine.jobs import answering
from schemas.queue_status import AuditEntry

log = structlog.get_logger()

_KEEP = 1_000
# Of a fleet that nobody steers any more nothing stays for ever.
_KEEP_S = 400 * 24 * 3600


class Audit:
    """The acts of operators, newest first. In the server: the list ``corral:<prefix>:audit``."""

    def __init__(self, redis: Redis, *, prefix: str) -> None:
        """Write through ``redis``, a fail-fast client that the caller closes."""
        self._redis = redis
        self._key = f"corral:{prefix}:audit"

    async def note(self, act: str, on: str, *, by: str, details: str = "") -> None:
        """Note an act before it is done: one that is not noted is not done.

        Raises:
            EngineUnavailable: the server does not answer.
        """
        entry = AuditEntry(at=datetime.now(UTC), by=by, act=act, on=on, details=details)
        pipe = self._redis.pipeline(transaction=True)
        pipe.lpush(self._key, entry.model_dump_json())
        pipe.ltrim(self._key, 0, _KEEP - 1)
        pipe.expire(self._key, _KEEP_S)
        async with answering():
            await pipe.execute()
        log.info("fleet.steered", act=act, on=on, by=by, details=details)

    async def newest(self, limit: int) -> list[AuditEntry]:
        """Give the newest acts, newest first."""
        async with answering():
            found = await cast("Awaitable[list[str]]", self._redis.lrange(self._key, 0, limit - 1))
        return [AuditEntry.model_validate_json(text) for text in found]
