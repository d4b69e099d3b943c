"""A worker process whose handlers do what faults need: ``python -m tests.support.faulty_worker``.

It is the real process (`worker.app.run`, signals, exit codes) with kinds of the tests' queue:
``trials.hang`` waits for the file named in its payload to exist, ``trials.die`` kills its process.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

import uvloop

from producers.log import configure
from schemas import settings as environment
from schemas.errors import CorralError
from schemas.job_spec import catalogue
from tests.support.fleet import Trial, Verdict, entry, spec
from tests.support.until import until
from worker import app
from worker.ports import JobContext
from worker.registry import Registry, load
from worker.settings import WorkerSettings

HANG, DIE = spec("hang", crashes=5), spec("die", crashes=2)


async def hang(payload: Trial, job: JobContext) -> Verdict:
    """Say that it began, then wait for the word."""
    go = Path(payload.text)
    go.with_suffix(f".{job.id}.{os.getpid()}").touch()
    await until(go.exists, within_s=3_600)
    return Verdict(text="done")


async def die(_payload: Trial, _job: JobContext) -> Verdict:
    """Take the whole worker along, as a crash in a library does."""
    os.kill(os.getpid(), signal.SIGKILL)
    return Verdict()


def main() -> None:
    """Run until SIGTERM, with the product's own exit codes."""
    settings = environment.load(WorkerSettings)
    configure(settings)
    callbacks = load(catalogue(), ["callbacks"])
    entries = [entry(hang, HANG), entry(die, DIE), callbacks.find("callbacks", "deliver")]
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(app.run(settings, Registry(entries)))
    except CorralError as error:
        print(f"corral: {error}", file=sys.stderr)  # noqa: T201 - as the command line says it
        sys.exit(1)


if __name__ == "__main__":
    main()
