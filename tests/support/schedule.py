"""Makes schedules fire when a test wants it."""

import json
from datetime import UTC, datetime

from redis.asyncio import Redis


async def make_due(redis: Redis, schedule: str, *, ago_s: float = 0.0) -> str:
    """Make a schedule's next firing due now, as if the time had come; give its id."""
    waiting = map(str, await redis.zrange("bull:schedules:delayed", 0, -1))
    (old,) = [one for one in waiting if one.startswith(f"repeat:{schedule}:")]
    due_ms = round((datetime.now(UTC).timestamp() - ago_s) * 1000)
    new = f"repeat:{schedule}:{due_ms}"
    opts = json.loads(await redis.hget(f"bull:schedules:{old}", "opts") or "{}")
    await redis.hset(f"bull:schedules:{old}", "opts", json.dumps({**opts, "prevMillis": due_ms}))
    await redis.rename(f"bull:schedules:{old}", f"bull:schedules:{new}")
    await redis.zrem("bull:schedules:delayed", old)
    await redis.zadd("bull:schedules:delayed", {new: due_ms * 0x1000})
    await redis.zadd("bull:schedules:repeat", {schedule: due_ms})
    await redis.zadd("bull:schedules:marker", {"1": due_ms})
    return new
