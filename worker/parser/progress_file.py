"""Progress of a child, as a small file: it outlives neither a kill nor a full pipe."""

import os
from pathlib import Path

from schemas.job_status import Progress

_NAME = "progress"


def write_progress(scratch: Path, done: int, total: int) -> None:
    """Say how many pages are done; a reader sees the old line or the new one, never half of it."""
    fresh = scratch / f"{_NAME}.new"
    fresh.write_text(f"{done} {total}", encoding="ascii")
    os.replace(fresh, scratch / _NAME)  # noqa: PTH105 - the atomic one, by name


def read_progress(scratch: Path) -> Progress | None:
    """Give the newest progress; None before the first page."""
    try:
        done, total = (scratch / _NAME).read_text(encoding="ascii").split()
    except FileNotFoundError:
        return None
    return Progress(done=int(done), total=int(total), unit="pages")
