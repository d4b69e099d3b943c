"""A job as the engine hands it to an attempt, for tests without an engine."""

from typing import Any

from tests.support.fleet import QUEUE
from worker.context import Delivery


async def unheard(_: object) -> None:
    """Take what a handler reports, and forget it."""


def delivery(**changes: Any) -> Delivery:  # noqa: ANN401 - fields of the delivery
    """A job of the tests' kind, on its first attempt."""
    given = {
        "id": f"{QUEUE}_1",
        "queue": QUEUE,
        "name": "run",
        "data": {},
        "number": 1,
        "limit": 3,
        "waited_s": 0.5,
        "set_progress": unheard,
        "append_log": unheard,
    }
    return Delivery(**{**given, **changes})
