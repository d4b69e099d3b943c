"""Which keys in the server have neither a time to live nor an owner: what a long-lived fleet drowns in.

The owners, by pattern; everything else must have a time to live:

=====================================  ==========================================================
``<prefix>:<queue>:<structure>``       the queue: the fixed set of ``STRUCTURES``
``<prefix>:<queue>:repeat:<id>``       the queue's schedule
``<prefix>:<queue>:metrics:<state>``   the queue's metrics, bounded by ``maxDataPoints``
``<prefix>:<queue>:<id>``              the job, as long as one structure of its queue holds the id
``<prefix>:<queue>:<id>:<satellite>``  the same job: one of ``SATELLITES``
``corral:<prefix>:endpoints:<tenant>``  the tenant: its endpoints, a hash that goes with the last of them
``corral:<prefix>:disabled:<tenant>``   the same, of those to which nothing is sent
=====================================  ==========================================================

What else Corral keeps beside the engine lives below ``corral:`` and always has a time to live: idempotency
keys, and of ``producers/worker_registry.py`` and ``producers/audit.py`` the reports and wishes of
workers (15 s after a worker's last word) and the operators' acts (400 days after the last one).

So ``corral:idempotency:*`` or a lock without a time to live is a leak, and so is a job that no
list of its queue knows, or the log of a job that has been removed.
"""

from redis.asyncio import Redis

# bullmq 3.4 (the layout of Node's BullMQ 6): commands/includes and Queue.keys in its wheel.
LISTS = ("wait", "active", "paused")
SORTED = ("completed", "failed", "delayed", "prioritized", "waiting-children")
STRUCTURES = frozenset(
    {*LISTS, *SORTED, "events", "meta", "id", "marker", "stalled", "stalled-check", "pc", "repeat", "limiter"}
)
SATELLITES = frozenset({"", "logs", "lock", "dependencies", "processed", "failed", "unsuccessful"})
FAMILIES = frozenset({"repeat", "metrics"})

_NO_TIME_TO_LIVE = -1


async def leaked_keys(client: Redis, prefix: str = "bull") -> list[str]:
    """Give every key that would stay for ever and belongs to nobody, in alphabetical order."""
    keys = sorted([_text(key) async for key in client.scan_iter(count=1_000)])
    return [
        key for key in keys if await client.ttl(key) == _NO_TIME_TO_LIVE and not await _has_owner(client, key, prefix)
    ]


async def _has_owner(client: Redis, key: str, prefix: str) -> bool:
    if key.startswith((f"corral:{prefix}:endpoints:", f"corral:{prefix}:disabled:")):
        return True
    first, _, rest = key.partition(":")
    queue, _, name = rest.partition(":")
    if first != prefix or not name:
        return False
    if name in STRUCTURES or name.partition(":")[0] in FAMILIES:
        return True
    job_id, _, satellite = name.partition(":")
    return satellite in SATELLITES and await _is_held(client, f"{prefix}:{queue}", job_id)


async def _is_held(client: Redis, queue: str, job_id: str) -> bool:
    for name in SORTED:
        if await client.zscore(f"{queue}:{name}", job_id) is not None:
            return True
    for name in LISTS:
        if await client.lpos(f"{queue}:{name}", job_id) is not None:
            return True
    return False


def _text(key: bytes | str) -> str:
    return key.decode() if isinstance(key, bytes) else key
