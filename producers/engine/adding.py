"""How a job is added, as parts of one script: the engine's own scripts with what the package makes of the job."""

from functools import partial
from typing import Any, cast

from bullmq import Job, Queue

from producers.engine.joined_script import WHEN_NUMBER, WHEN_TRUE, Part

ADDING = ("addParentJob", "addStandardJob", "addDelayedJob", "addPrioritizedJob")
THERE, CLAIMED = "there", "claimed"


def recording(queue: Queue) -> Queue:
    """Have a queue's scripts that add give their part instead of running."""
    scripts = queue.backend.scripts
    made = {name: partial(_part, name, scripts.commands[name].script) for name in ADDING}
    scripts.commands = {**scripts.commands, **made}
    return queue


def parent(job: Job) -> Part:
    """Add a job of a ``recording`` queue that waits for others."""
    return cast("Part", job.backend.scripts.addParentJob(job))


def work(job: Job) -> Part:
    """Add a job of a ``recording`` queue that is to be done."""
    scripts = job.backend.scripts
    if job.delay:
        return cast("Part", scripts.addDelayedJob(job, job.delay))
    if job.priority:
        return cast("Part", scripts.addPrioritizedJob(job, job.priority))
    return cast("Part", scripts.addStandardJob(job, job.timestamp))


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


def _part(name: str, text: str, *, keys: list[str], args: list[Any], client: object = None) -> Part:  # noqa: ARG001 - as the package calls it
    # An id is what the engine gives when it has taken the job, a number why it has not.
    return Part(name, text, keys, args, WHEN_NUMBER)
