"""How a job is added, as parts of one script: the engine's own scripts, with what they are called with.

The keys are those that the package names. The arguments are written here, in the form that the heads of the
scripts state, for the package takes twice as long to make them (a test holds the two together).
"""

import json
import time
from collections.abc import Sequence
from copy import copy
from functools import partial
from typing import Any

from bullmq import Job, Queue
from bullmq.scripts import msgpack

from producers.engine.joined_script import WHEN_NUMBER, WHEN_TRUE, Part
from producers.engine.new_job import NewJob, Parent

ADDING = ("addParentJob", "addStandardJob", "addDelayedJob", "addPrioritizedJob")
THERE, CLAIMED = "there", "claimed"

_to_json = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class Adding:
    """The scripts that add to one queue."""

    def __init__(self, queue: Queue) -> None:
        """Ask the package what their keys are."""
        scripts, sample = copy(queue.backend.scripts), Job(queue, "", None, {"jobId": "0"})
        scripts.commands = {name: partial(_part, name, scripts.commands[name].script) for name in ADDING}
        self._home: str = scripts.keys[""]
        self._parent: Part = scripts.addParentJob(sample)
        self._standard: Part = scripts.addStandardJob(sample, 0)
        self._delayed: Part = scripts.addDelayedJob(sample, 0)
        self._prioritized: Part = scripts.addPrioritizedJob(sample, 0)

    def parent(self, job: NewJob, options: dict[str, Any]) -> Part:
        """Add a job that waits for others."""
        return self._parent._replace(args=self._args(job, options, None, _now_ms()))

    def work(self, job: NewJob, options: dict[str, Any], waiting: Parent | None) -> Part:
        """Add a job that is to be done, and that ``waiting`` waits for."""
        now_ms = _now_ms()
        args = self._args(job, options, waiting, now_ms)
        if delay_ms := options["delay"]:
            return self._delayed._replace(args=[*args, delay_ms])
        if priority := options.get("priority"):
            return self._prioritized._replace(args=[*args, priority])
        return self._standard._replace(args=[*args, now_ms])

    def _args(self, job: NewJob, options: dict[str, Any], waiting: Parent | None, now_ms: int) -> list[Any]:
        above: list[Any] = [None, None, None]
        if waiting is not None:
            # Without the last a job that fails would keep its parent waiting for ever.
            tie = {"id": waiting.id, "queueKey": waiting.queue, "idof": True}
            above = [waiting.key, f"{waiting.key}:dependencies", tie]
        place = [self._home, job.id, job.spec.kind, now_ms, *above, None, None]
        return [msgpack.packb(place), _to_json(job.data), msgpack.packb(options)]


def unless_there(key: str) -> Part:
    """End where a job is there already.

    The engine itself takes a known id without a word, but a child that is added again after it failed
    would keep its parent from ever ending.
    """
    return Part(THERE, "return redis.call('EXISTS', KEYS[1]) == 1", [key], [], WHEN_TRUE)


def unless_claimed(key: str, value: str, ttl_s: int) -> Part:
    """Take a key for ``ttl_s``, or end with what it holds."""
    text = "return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'GET', 'EX', ARGV[2])"
    return Part(CLAIMED, text, [key], [value, ttl_s], WHEN_TRUE)


def _now_ms() -> int:
    return round(time.time() * 1000)


def _part(name: str, text: str, *, keys: Sequence[str], args: Sequence[Any], client: object = None) -> Part:  # noqa: ARG001 - as the package calls it
    # An id is what the engine gives when it has taken the job, a number why it has not.
    return Part(name, text, keys, args, WHEN_NUMBER)
