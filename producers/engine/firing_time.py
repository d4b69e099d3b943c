"""When a cron expression fires next: wall-clock times of a zone, with stated rules for its jumps.

The engine's own reckoning is off by an hour on the day after the clocks go back, so it is not used.
"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from croniter import CroniterBadCronError, CroniterBadDateError, croniter

from schemas.errors import PayloadInvalid
from schemas.schedule import Cron

_FIELDS = 5


def next_firing(when: Cron, after: datetime) -> datetime:
    """Give the first firing later than ``after``, in UTC.

    A time that the clocks skip fires when they have jumped; one that they show twice fires the first
    time. So a daily time fires every day, once.

    Raises:
        PayloadInvalid: it is no cron expression, it names no day there is, or there is no such zone.
    """
    zone = _zone(when.timezone)
    # Without a zone: croniter counts on the wall, and every jump of the clocks is reckoned here.
    wall = _walls(when.cron, after.astimezone(zone).replace(tzinfo=None))
    while True:
        try:
            found = _instant(wall.get_next(datetime), zone)
        except CroniterBadDateError as error:
            raise PayloadInvalid(f"the cron expression {when.cron!r} never fires") from error
        if found > after:
            return found


def _walls(cron: str, start: datetime) -> croniter:
    fields = cron.split()
    if len(fields) != _FIELDS:
        raise PayloadInvalid(f"a cron expression has five fields, and {cron!r} has not")
    if any(field[0] in "rR" for field in fields):
        # croniter draws such a field anew each time that it is asked: two processes would never agree.
        raise PayloadInvalid(f"{cron!r} leaves a time to chance; name it")
    try:
        return croniter(cron, start)
    except (CroniterBadCronError, ValueError) as error:
        raise PayloadInvalid(f"{cron!r} is no cron expression; see crontab(5)") from error


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise PayloadInvalid(f"there is no time zone {name!r}; use an IANA name like Europe/Zurich") from error


def _instant(wall: datetime, zone: ZoneInfo) -> datetime:
    first = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if first.astimezone(zone).replace(tzinfo=None) == wall:
        return first
    # The clocks skip it. Read with the offset of after the jump, it lies before the jump.
    low, high = wall.replace(tzinfo=zone, fold=1).astimezone(UTC), first
    before = low.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) // 2
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high.replace(microsecond=0)
