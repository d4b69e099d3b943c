"""What is wrong with the queues in a server: another generation of BullMQ, and jobs that nobody will ever touch."""

from collections.abc import Iterable

from redis.asyncio import Redis

from corral.finding import Finding
from producers.engine.orphan import Orphans
from worker import connection_name

# Node's BullMQ 6 and the package of Python have no list of paused jobs; 5 has, and the two lose each other's.
_LEAST_MAJOR = 6
_SHOWN = 5


async def look_at_queues(redis: Redis, prefix: str, queues: Iterable[str]) -> list[Finding]:
    """Look at each queue, without changing a thing."""
    found = [finding for queue in sorted(queues) for finding in await _of_queue(redis, prefix, queue)]
    return found or [Finding("queues: one generation of BullMQ, and every job is in its place")]


async def _of_queue(redis: Redis, prefix: str, queue: str) -> list[Finding]:
    orphans = Orphans(redis, prefix=prefix, queue=queue)
    found = [*await _versions(redis, f"{prefix}:{queue}")]
    if lost := await orphans.unlisted():
        found.append(
            Finding(f"{queue}: {_ids(lost)} in no list", "no worker will find them: add them again, then remove")
        )
    if stuck := await orphans.stuck_schedules():
        found.append(Finding(f"{queue}: schedule {_ids(stuck)} has no next firing", "put it again"))
    unlocked = await orphans.unlocked()
    if unlocked and not await _has_worker(redis, prefix, queue):
        remedy = "their worker has died and there is no other: start one, it takes them over"
        found.append(Finding(f"{queue}: {_ids(unlocked)} active without a lock", remedy, fatal=False))
    return found


async def _versions(redis: Redis, home: str) -> list[Finding]:
    found, remedy = [], f"programs in Node must have bullmq {_LEAST_MAJOR} or later, or paused jobs are lost"
    version = str(await redis.hget(f"{home}:meta", "version") or "")
    major = version.rpartition(":")[2].partition(".")[0]
    if major.isdecimal() and int(major) < _LEAST_MAJOR:
        found.append(Finding(f"{home}: {version} has been here", remedy))
    if await redis.exists(f"{home}:paused"):
        found.append(Finding(f"{home}:paused: jobs that BullMQ 5 has put aside", f"{remedy}; resume the queue with it"))
    return found


async def _has_worker(redis: Redis, prefix: str, queue: str) -> bool:
    ours = connection_name.of_worker(prefix, queue, "")
    return any(str(client["name"]).startswith(ours) for client in await redis.client_list())


def _ids(ids: list[str]) -> str:
    rest = f" and {len(ids) - _SHOWN:,} more" if len(ids) > _SHOWN else ""
    return ", ".join(ids[:_SHOWN]) + rest
