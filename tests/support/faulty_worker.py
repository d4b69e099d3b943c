"""A worker process whose handlers do what faults need: ``python -m tests.support.faulty_worker``.

It is the real process (`worker.command.serve`, signals, exit codes) with kinds of the tests' queue:
``trials.hang`` waits for the file named in its payload to exist, ``trials.cling`` does so whoever ends it,
``trials.die`` kills its process, ``trials.fan`` has two jobs done: one that hangs, and one like itself while its
number allows.
"""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

from schemas.job_spec import catalogue
from tests.support.fleet import Trial, Verdict, entry, spec
from tests.support.until import until
from tests.support.worker_command import worker_command
from worker.ports import Child, Children, JobContext
from worker.registry import Entry, load

HANG, CLING, DIE, FAN = spec("hang", crashes=5), spec("cling"), spec("die", crashes=2), spec("fan")


async def hang(payload: Trial, job: JobContext) -> Verdict:
    """Say that it began, then wait for the word."""
    go = Path(payload.text)
    go.with_suffix(f".{job.id}.{os.getpid()}").touch()
    await until(go.exists, within_s=3_600)
    return Verdict(text="done")


async def cling(payload: Trial, job: JobContext) -> Verdict:
    """Wait for the word, and swallow every cancel meanwhile, as a handler never should."""
    while True:
        with suppress(asyncio.CancelledError):
            return await hang(payload, job)


async def die(_payload: Trial, _job: JobContext) -> Verdict:
    """Take the whole worker along, as a crash in a library does."""
    os.kill(os.getpid(), signal.SIGKILL)
    return Verdict()


async def fan(payload: Trial, job: JobContext) -> Verdict:
    """Have others do the work, so many generations of them."""
    below = [Child("hang", HANG, payload)]
    if payload.number > 0:
        below.append(Child("fan", FAN, Trial(text=payload.text, number=payload.number - 1)))
    await job.use(Children).run(job, below)
    return Verdict(text="done")


def entries() -> list[Entry]:
    """Give these kinds, and callbacks."""
    callbacks = load(catalogue(), ["callbacks"])
    kinds = [entry(hang, HANG), entry(cling, CLING), entry(die, DIE), entry(fan, FAN, Children)]
    return [*kinds, callbacks.find("callbacks", "deliver")]


if __name__ == "__main__":
    worker_command("tests.support.faulty_worker", entries)()
