"""Jobs that are promoted are taken next, before all that wait."""

from producers.engine.promotion import Promotion
from tests.support.fleet import QUEUE, Fleet, Seen, entry
from tests.support.until import until


async def test_promoted_jobs_are_the_next_in_the_order_given(fleet: Fleet) -> None:
    """Whatever waits; one that is not delayed, or is not there, stays as it is."""
    waiting = [await fleet.add_raw({"text": f"waits {number}"}) for number in range(2)]
    delayed = [await fleet.add_raw({"text": f"delayed {number}"}, delay=3_600_000) for number in range(3)]
    engine_ids = [one.removeprefix(f"{QUEUE}_") for one in (*delayed[:2], waiting[1], f"{QUEUE}_none")]
    await Promotion(fleet.redis, prefix="bull", queue=QUEUE)(engine_ids)
    handle = Seen()
    async with fleet.worker(entry(handle), concurrency=1):
        await until(lambda: len(handle.runs) == 4)
    assert [job.id for job in handle.runs] == [*delayed[:2], *waiting]
    assert await fleet.redis.zcard(f"bull:{QUEUE}:delayed") == 1
