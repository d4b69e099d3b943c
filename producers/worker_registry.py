"""Which workers there are, and what is wished of each: kept in the server, read by whoever asks.

``corral:<prefix>:workers``       sorted set: worker id by when its report runs out; gone with the last report
``corral:<prefix>:worker:<id>``   its report, JSON; runs out 15 s after the worker's last word
``corral:<prefix>:wish:<id>``     hash: what is wished of it; lives as long as its worker does

Looking is the whole protocol: a worker reports and reads its wishes every second, so no message can
be lost and nothing has to be cleaned up after one that was killed.
"""

import time
from typing import cast

from pydantic import ValidationError
from redis.asyncio import Redis

from producers.engine.jobs import answering
from schemas.worker_status import WorkerStatus, WorkerWish

REPORT_TTL_S = 15
_DRAINED = "drained"
_OF_QUEUE = "concurrency:"


class WorkerRegistry:
    """The workers of one queue prefix.

    Every method raises EngineUnavailable when the server does not answer.
    """

    def __init__(self, redis: Redis, *, prefix: str) -> None:
        """Read and write through ``redis``, a fail-fast client that the caller closes."""
        self._redis = redis
        self._home = f"corral:{prefix}"

    async def report(self, status: WorkerStatus) -> WorkerWish:
        """Say how a worker is, and give what is wished of it."""
        pipe = self._redis.pipeline(transaction=True)
        pipe.set(self._report(status.id), status.model_dump_json(), ex=REPORT_TTL_S)
        pipe.zadd(self._index, {status.id: time.time() + REPORT_TTL_S})
        pipe.expire(self._index, REPORT_TTL_S)
        pipe.expire(self._wish(status.id), REPORT_TTL_S)
        pipe.hgetall(self._wish(status.id))
        async with answering():
            *_, wished = await pipe.execute()
        return _wish(wished)

    async def forget(self, worker_id: str) -> None:
        """Take a worker off the list: it has ended in good order."""
        async with answering():
            await self._redis.zrem(self._index, worker_id)
            await self._redis.delete(self._report(worker_id), self._wish(worker_id))

    async def workers(self) -> list[WorkerStatus]:
        """Give the workers that have reported lately, by id."""
        async with answering():
            await self._redis.zremrangebyscore(self._index, "-inf", time.time())
            ids = cast("list[str]", await self._redis.zrange(self._index, 0, -1))
            reports = await self._redis.mget([self._report(one) for one in ids]) if ids else []
        found = (_status(str(text)) for text in reports if text)
        return sorted((one for one in found if one), key=lambda one: one.id)

    async def find(self, worker_id: str) -> WorkerStatus | None:
        """Give one worker; None when it has not reported lately."""
        async with answering():
            text = await self._redis.get(self._report(worker_id))
        return _status(str(text)) if text else None

    async def drain(self, worker_id: str, *, drained: bool) -> None:
        """Wish that a worker takes nothing more, or takes jobs again."""
        await self._set(worker_id, _DRAINED, int(drained))

    async def resize(self, worker_id: str, queue: str, concurrency: int) -> None:
        """Wish how many jobs of a queue a worker runs at once."""
        await self._set(worker_id, f"{_OF_QUEUE}{queue}", concurrency)

    async def _set(self, worker_id: str, field: str, value: int) -> None:
        async with answering():
            await self._redis.hset(self._wish(worker_id), field, str(value))
            await self._redis.expire(self._wish(worker_id), REPORT_TTL_S)

    @property
    def _index(self) -> str:
        return f"{self._home}:workers"

    def _report(self, worker_id: str) -> str:
        return f"{self._home}:worker:{worker_id}"

    def _wish(self, worker_id: str) -> str:
        return f"{self._home}:wish:{worker_id}"


def _status(text: str) -> WorkerStatus | None:
    try:
        return WorkerStatus.model_validate_json(text)
    except ValidationError:
        # A worker of another version: it must not hide the others.
        return None


def _wish(fields: dict[str, str]) -> WorkerWish:
    sizes = {name.removeprefix(_OF_QUEUE): int(value) for name, value in fields.items() if name.startswith(_OF_QUEUE)}
    return WorkerWish(drained=fields.get(_DRAINED) == "1", concurrency=sizes)
