"""What is kept of callbacks: how much of it, for how long, and page by page."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from schemas.callback_attempt import CallbackAttempt, CallbackFilter, CallbackStatus
from schemas.errors import JobError
from tests.support.callback_sender import desk_of
from tests.support.fleet import Fleet


def status(number: int, seconds: float) -> CallbackStatus:
    """Make a callback that was updated then."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return CallbackStatus(
        id=f"callbacks_{number}",
        state="retrying",
        job_id=f"trials_{number}",
        kind="trials.run",
        event="job.completed",
        event_at=at,
        endpoint="ep_1",
        url="https://example.com",
        error=JobError(code="callback_rejected", message="no"),
        updated_at=at + timedelta(seconds=seconds),
    )


async def test_a_page_looks_no_further_than_its_limit(fleet: Fleet) -> None:
    """It has none of those that are meant, and says where to go on from; nothing is left out on the way."""
    history = replace(desk_of(fleet.redis).history, look_at_most=200)
    for number in range(450):
        await history.note("acme", status(number, number // 3), None)
    seen, cursor = 0, None
    for _ in range(2):
        page = await history.page("acme", CallbackFilter(state="failed", cursor=cursor))
        assert page.callbacks == []
        cursor = page.next
        assert cursor is not None
    page = await history.page("acme", CallbackFilter(state="failed", cursor=cursor))
    assert (page.callbacks, page.next) == ([], None)
    cursor = None
    while True:
        page = await history.page("acme", CallbackFilter(limit=7, cursor=cursor))
        seen += len(page.callbacks)
        if (cursor := page.next) is None:
            break
    assert seen == 450


async def test_the_history_is_kept_by_number_and_by_age(fleet: Fleet) -> None:
    """Of one tenant the newest callbacks, of one callback the newest twenty attempts; all run out."""
    history = desk_of(fleet.redis, callback_keep_count=10, callback_keep_s=3600).history
    at = datetime(2026, 1, 1, tzinfo=UTC)
    attempt = CallbackAttempt(at=at, url="https://example.com", latency_s=0.1)
    for number in range(15):
        await history.note("acme", status(number, number), attempt)
    for second in range(30):
        await history.note("acme", status(14, 20 + second), attempt.model_copy(update={"status": second}))
    await history.note("other", status(99, 0), None)
    keys = [key async for key in fleet.redis.scan_iter(match="corral:bull:callback*")]
    assert len(keys) == 10 * 2 + 1 + 2
    assert all([0 < await fleet.redis.ttl(key) <= 3600 for key in keys])
    kept = await history.get("acme", "callbacks_14")
    assert (kept.attempts, [one.status for one in kept.tries]) == (31, list(range(10, 30)))
    await history.note("acme", status(200, 4_000), None)
    assert await fleet.redis.zcard("corral:bull:callbacks:acme") == 1
