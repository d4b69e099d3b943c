"""What the package's own reckoning of schedules does wrong: when a test here fails, ours may be needed no more."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from bullmq.job_scheduler import default_repeat_strategy


def test_the_package_is_an_hour_late_after_the_clocks_went_back() -> None:
    """A daily time of Zurich comes at 03:30 on the day after; `producers/engine/firing_time.py` gives 02:30."""
    zone = ZoneInfo("Europe/Zurich")
    after = datetime(2026, 10, 25, 1, 0, tzinfo=UTC)
    found = default_repeat_strategy(round(after.timestamp() * 1000), {"pattern": "30 2 * * *", "tz": zone.key})
    assert datetime.fromtimestamp(found / 1000, zone).strftime("%d.%m. %H:%M") != "26.10. 02:30"
