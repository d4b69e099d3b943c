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
workers (15 s after a worker's last word) and the operators' acts (400 days after the last one), of
``producers/listening.py`` that somebody listens (15 s) and what was sent meanwhile (a minute).

So ``corral:idempotency:*`` or a lock without a time to live is a leak, and so is a job that no
list of its queue knows, or the log of a job that has been removed.
"""

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

# bullmq 3.4 (the layout of Node's BullMQ 6): commands/includes and Queue.keys in its wheel.
LISTS = ("wait", "active", "paused")
SORTED = ("completed", "failed", "delayed", "prioritized", "waiting-children")
STRUCTURES = frozenset(
    {*LISTS, *SORTED, "events", "meta", "id", "marker", "stalled", "stalled-check", "pc", "repeat", "limiter"}
)
SATELLITES = frozenset({"", "logs", "lock", "dependencies", "processed", "failed", "unsuccessful"})
FAMILIES = frozenset({"repeat", "metrics"})

_NO_TIME_TO_LIVE = -1
_CHUNK = 1_000


async def leaked_keys(client: Redis, prefix: str = "bull") -> list[str]:
    """Give every key that would stay for ever and belongs to nobody, in alphabetical order."""
    keys = sorted([_text(key) async for key in client.scan_iter(count=_CHUNK)])
    chunks = (keys[at : at + _CHUNK] for at in range(0, len(keys), _CHUNK))
    return [key for chunk in chunks for key in await _leaked(client, chunk, prefix)]


async def _leaked(client: Redis, keys: list[str], prefix: str) -> list[str]:
    pipe = client.pipeline(transaction=False)
    for key in keys:
        pipe.ttl(key)
    times = zip(keys, await pipe.execute(), strict=True)
    forever = [key for key, time_s in times if time_s == _NO_TIME_TO_LIVE]
    lasting = [key for key in forever if not _is_queues_own(key, prefix) and not _is_tenants(key, prefix)]
    for key in lasting:
        _look_for_holder(pipe, key, prefix)
    found, width = await pipe.execute() if lasting else [], len(SORTED) + len(LISTS)
    places = [found[at : at + width] for at in range(0, len(found), width)]
    return [
        key
        for key, held in zip(lasting, places, strict=True)
        if not _is_of_job(key, prefix) or all(place is None for place in held)
    ]


def _is_tenants(key: str, prefix: str) -> bool:
    return key.startswith((f"corral:{prefix}:endpoints:", f"corral:{prefix}:disabled:"))


def _is_queues_own(key: str, prefix: str) -> bool:
    first, _, name = _parts(key)
    return first == prefix and (name in STRUCTURES or name.partition(":")[0] in FAMILIES)


def _is_of_job(key: str, prefix: str) -> bool:
    first, _, name = _parts(key)
    return first == prefix and name != "" and name.partition(":")[2] in SATELLITES


def _look_for_holder(pipe: Pipeline, key: str, prefix: str) -> None:
    _, queue, name = _parts(key)
    job_id = name.partition(":")[0]
    for structure in SORTED:
        pipe.zscore(f"{prefix}:{queue}:{structure}", job_id)
    for structure in LISTS:
        pipe.lpos(f"{prefix}:{queue}:{structure}", job_id)


def _parts(key: str) -> tuple[str, str, str]:
    first, _, rest = key.partition(":")
    queue, _, name = rest.partition(":")
    return first, queue, name


def _text(key: bytes | str) -> str:
    return key.decode() if isinstance(key, bytes) else key
