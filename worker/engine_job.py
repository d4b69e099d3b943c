"""A job as the engine's scripts give it away: its record, read as far as a worker needs it.

The package's own reading makes every field of the record into an object first, which costs as much
as the rest of a job that does nothing.
"""

import json
from typing import Any, Self

from pydantic_core import from_json

# Of a job that nobody can read: what it is called, and who waits for it.
_KEPT = ("name", "parent", "parentKey")


class EngineJob:
    """A job under a lock of ours. ``opts`` has the engine's words, short ones among them; ``data`` is any JSON."""

    __slots__ = (
        "attempts",
        "attempts_made",
        "attempts_started",
        "data",
        "id",
        "opts",
        "record",
        "timestamp_ms",
        "token",
    )

    def __init__(self, job_id: str, token: str, record: dict[str, str]) -> None:
        """Read a record.

        Raises:
            ValueError: it is not what the engine's libraries write; as are TypeError and RecursionError.
        """
        self.id = job_id
        self.token = token
        self.record = record
        self.data: Any = _decoded(record.get("data", "{}"))
        self.opts: dict[str, Any] = dict(_decoded(record.get("opts", "{}")))
        self.timestamp_ms = int(record.get("timestamp", 0))
        self.attempts_made = int(record.get("atm") or record.get("attemptsMade") or 0)
        self.attempts_started = int(record.get("ats") or 0)
        attempts = self.opts.get("attempts")
        self.attempts = attempts if isinstance(attempts, int) and attempts > 0 else 1

    @classmethod
    def read(cls, job_id: str, token: str, record: dict[str, str]) -> Self:
        """Read a record, whoever wrote it.

        What no library of the engine writes is a job all the same, and ours by now, so it has to end: without
        its data, like any job that nobody can read.
        """
        try:
            return cls(job_id, token, record)
        except (ValueError, TypeError, RecursionError):
            kept = {name: value for name, value in record.items() if name in _KEPT}
            return cls(job_id, token, {**kept, "data": "null"})

    @property
    def name(self) -> str:
        """What the job is called within its queue."""
        return self.record.get("name", "")

    @property
    def parent_key(self) -> str | None:
        """The key of the job that waits for this one."""
        return self.record.get("parentKey")

    @property
    def deferred_failure(self) -> str | None:
        """Why the engine has given the job up, which a worker is to make known."""
        return self.record.get("defa")


def _decoded(text: str) -> Any:  # noqa: ANN401 - any JSON
    try:
        return from_json(text)
    except ValueError:
        # It refuses what JSON allows and Node writes: half of a surrogate pair, and very deep nesting.
        return json.loads(text)
