"""When a cron expression fires, also on the days when the clocks jump."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.engine.firing_time import next_firing
from schemas.errors import PayloadInvalid
from schemas.schedule import Cron

ZURICH = "Europe/Zurich"


def firings(cron: str, start: str, count: int, zone: str = ZURICH) -> list[str]:
    """Give the next firings on the zone's wall."""
    found, at = [], datetime.fromisoformat(start)
    for _ in range(count):
        at = next_firing(Cron(cron=cron, timezone=zone), at)
        found.append(at.astimezone(ZoneInfo(zone)).strftime("%d.%m. %H:%M%z"))
    return found


def test_a_skipped_time_fires_when_the_clocks_have_jumped() -> None:
    """On 29 March the clocks of Zurich go from 02:00 to 03:00; the next day is as ever."""
    assert firings("30 2 * * *", "2026-03-28T00:00Z", 3) == [
        "28.03. 02:30+0100",
        "29.03. 03:00+0200",
        "30.03. 02:30+0200",
    ]


def test_skipped_times_fire_once_together() -> None:
    """Four quarters that do not exist are one firing, and three o'clock is the same one."""
    assert firings("*/15 2,3 * * *", "2026-03-29T00:00Z", 3) == [
        "29.03. 03:00+0200",
        "29.03. 03:15+0200",
        "29.03. 03:30+0200",
    ]


def test_a_repeated_time_fires_the_first_time() -> None:
    """On 25 October the hour from 02:00 comes twice; the engine's reckoning would be late the day after."""
    assert firings("30 2 * * *", "2026-10-24T00:00Z", 4) == [
        "24.10. 02:30+0200",
        "25.10. 02:30+0200",
        "26.10. 02:30+0100",
        "27.10. 02:30+0100",
    ]


def test_the_repeated_hour_has_no_firings() -> None:
    """Every half hour of the wall is once; what needs even distances is an `every`."""
    assert firings("*/30 * * * *", "2026-10-25T00:00Z", 3) == [
        "25.10. 02:30+0200",
        "25.10. 03:00+0100",
        "25.10. 03:30+0100",
    ]


@pytest.mark.parametrize(
    ("cron", "zone", "start", "expected"),
    [
        ("0 3 * * *", ZURICH, "2026-10-25T00:00Z", "25.10. 03:00+0100"),
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00Z", "04.10. 02:30+1100"),
        ("0 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00Z", "04.11. 01:00-0200"),
        ("30 1 * * *", "America/New_York", "2026-11-01T06:00Z", "02.11. 01:30-0500"),
        ("0 12 * * *", "Pacific/Apia", "2011-12-29T23:00Z", "31.12. 00:00+1400"),
        ("30 1 * * *", "Antarctica/Troll", "2026-03-29T00:00Z", "29.03. 03:00+0200"),
        ("30 1 * * *", "Europe/Dublin", "2026-10-25T00:45Z", "26.10. 01:30+0000"),
        ("0 9 29 2 *", "UTC", "2026-03-01T00:00Z", "29.02. 09:00+0000"),
        ("0 9 * * mon", "Asia/Kathmandu", "2026-11-22T00:00Z", "23.11. 09:00+0545"),
    ],
)
def test_other_zones_and_expressions(cron: str, zone: str, start: str, expected: str) -> None:
    """Jumps of half an hour, two hours, a whole day; at midnight; the second of a doubled hour; leap days, names."""
    assert firings(cron, start, 1, zone) == [expected]


@pytest.mark.parametrize(
    ("cron", "zone"),
    [
        ("* * * *", "UTC"),
        ("* * * * * *", "UTC"),
        ("61 * * * *", "UTC"),
        ("nonsense in five fields x", "UTC"),
        ("R R * * *", "UTC"),
        ("0 r(1-3) * * *", "UTC"),
        ("0 0 30 2 *", "UTC"),
        ("0 0 * * *", "Europe/Atlantis"),
        ("0 0 * * *", "../../etc/passwd"),
        ("0 0 * * *", ""),
    ],
)
def test_what_never_fires_is_refused(cron: str, zone: str) -> None:
    """With a reason, before anything is kept."""
    with pytest.raises(PayloadInvalid):
        next_firing(Cron(cron=cron, timezone=zone), datetime(2026, 1, 1, tzinfo=UTC))


@given(
    start=st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - of hypothesis
    hour=st.integers(0, 23),
    minute=st.integers(0, 59),
    zone=st.sampled_from([ZURICH, "America/New_York", "Australia/Lord_Howe", "UTC"]),
)
def test_a_daily_time_fires_once_a_day_in_every_zone(start: datetime, hour: int, minute: int, zone: str) -> None:
    """Whatever the clocks do: each day of the wall has one firing, and it is never before its time."""
    times = [start]
    for _ in range(5):
        times.append(next_firing(Cron(cron=f"{minute} {hour} * * *", timezone=zone), times[-1]))
    days = [at.astimezone(ZoneInfo(zone)).date() for at in times[1:]]
    assert all(later - earlier == timedelta(days=1) for earlier, later in pairwise(days))
    walls = [at.astimezone(ZoneInfo(zone)) for at in times[1:]]
    assert all((wall.hour, wall.minute) >= (hour, minute) for wall in walls)
