"""A worker process whose handlers do what faults need: ``python -m tests.support.faulty_worker``.

It is the real process (`worker.__main__.serve`, signals, exit codes) with kinds of the tests' queue:
``trials.hang`` waits for the file named in its payload to exist, ``trials.die`` kills its process, ``trials.fan`` has
two jobs done: one that hangs, and one like itself while its number allows.
"""

import os
import signal
import sys
from pathlib import Path

import click

from producers.child_process import die_with_parent
from producers.log import configure
from schemas import settings as environment
from schemas.errors import CorralError, Misconfigured
from schemas.job_spec import catalogue
from tests.support.fleet import Trial, Verdict, entry, spec
from tests.support.until import until
from worker.__main__ import serve
from worker.exit_code import MISCONFIGURED, START_ANEW
from worker.ports import Child, Children, JobContext
from worker.registry import Registry, load
from worker.settings import WorkerSettings

HANG, DIE, FAN = spec("hang", crashes=5), spec("die", crashes=2), spec("fan")


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


async def fan(payload: Trial, job: JobContext) -> Verdict:
    """Have others do the work, so many generations of them."""
    below = [Child("hang", HANG, payload)]
    if payload.number > 0:
        below.append(Child("fan", FAN, Trial(text=payload.text, number=payload.number - 1)))
    await job.use(Children).run(job, below)
    return Verdict(text="done")


@click.command()
@click.argument("queues", nargs=-1)
@click.option("--with-parent", is_flag=True)
def main(queues: tuple[str, ...], *, with_parent: bool) -> None:
    """Run until SIGTERM, with the product's own exit codes; a supervisor says which queues."""
    if with_parent:
        die_with_parent(signal.SIGKILL)
    settings = environment.load(WorkerSettings)
    configure(settings)
    callbacks = load(catalogue(), ["callbacks"])
    entries = [entry(hang, HANG), entry(die, DIE), entry(fan, FAN, Children), callbacks.find("callbacks", "deliver")]
    registry = Registry(one for one in entries if not queues or one.spec.queue in queues)
    try:
        sys.exit(serve(settings, registry, "tests.support.faulty_worker"))
    except CorralError as error:
        click.echo(f"corral: {error}", err=True)
        sys.exit(MISCONFIGURED if isinstance(error, Misconfigured) else START_ANEW)


if __name__ == "__main__":
    main()
