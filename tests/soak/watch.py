"""What is seen of the fleet while it works: which jobs the engine ended, and what memory is held."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from schemas import job_id as ids
from tests.soak.memory import Memory
from tests.support.process_memory import memory_bytes
from tests.support.until import passed

_LOOK_S = 0.5
_SAMPLE_S = 2.0
_MOST_EVENTS = 5_000
_MB = 1024**2
# In the second half of a short run a process still warms up, and the server's own tables are most of it.
_ALLOWED_MB, _ALLOWED_BYTES_A_JOB = 10.0, 200.0


@dataclass
class Watch:
    """Looks through ``redis`` at ``queues`` and at processes by their names."""

    redis: Redis
    queues: tuple[str, ...]
    processes: Mapping[str, int]
    ended: set[str] = field(default_factory=set)
    ended_again: list[str] = field(default_factory=list)
    memory: dict[str, Memory] = field(default_factory=dict)
    _base_bytes: int = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Watch until ``stop``; outages are sat out."""
        self._base_bytes = (await self.redis.info("memory"))["used_memory"]
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(stop))
            group.create_task(self._sample(stop))

    async def _follow(self, stop: asyncio.Event) -> None:
        """Read every queue's stream of events, where the engine writes each end in the script that makes it."""
        last: dict[Any, Any] = {f"bull:{queue}:events": "0" for queue in self.queues}
        while not stop.is_set():
            found: Any = []
            with suppress(RedisError):
                found = await self.redis.xread(last, count=_MOST_EVENTS)
            for stream, events in found:
                last[stream] = events[-1][0]
                queue = stream.split(":")[1]
                for _, event in events:
                    self._note(ids.public(queue, event.get("jobId", "")), event["event"])
            await passed(_LOOK_S, unless=stop)

    def _note(self, job_id: str, event: str) -> None:
        if event in {"completed", "failed"}:
            if job_id in self.ended:
                self.ended_again.append(job_id)
            self.ended.add(job_id)

    async def _sample(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            for name, pid in self.processes.items():
                # One that has ended has none; it is missed when all are stopped.
                with suppress(FileNotFoundError, ValueError):
                    self._keep(name, "MB", _ALLOWED_MB, memory_bytes(pid) / _MB)
            with suppress(RedisError):
                used = (await self.redis.info("memory"))["used_memory"]
                kept = await self._kept()
                if kept:
                    self._keep("server", "bytes a job", _ALLOWED_BYTES_A_JOB, (used - self._base_bytes) / kept)
            await passed(_SAMPLE_S, unless=stop)

    async def _kept(self) -> int:
        pipe = self.redis.pipeline(transaction=False)
        for queue in self.queues:
            for state in ("completed", "failed"):
                pipe.zcard(f"bull:{queue}:{state}")
        return sum(await pipe.execute())

    def _keep(self, name: str, unit: str, allowed: float, value: float) -> None:
        self.memory.setdefault(name, Memory(unit, allowed)).samples.append(value)
