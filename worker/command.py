"""The command line of a worker process: what it is told, and the code that it ends with."""

import asyncio
import signal
import sys

import click
import uvloop

from producers.child_process import die_with_parent
from producers.log import configure
from schemas import settings as environment
from schemas.errors import CorralError, Misconfigured
from schemas.job_spec import catalogue
from worker import process_group
from worker.exit_code import MISCONFIGURED, START_ANEW, STOPPED
from worker.registry import Registry, load
from worker.settings import MOST_PROCESSES, WorkerSettings


@click.command()
@click.argument("queues", nargs=-1)
@click.option(
    "--processes",
    type=click.IntRange(1, MOST_PROCESSES),
    help="How many, under a supervisor when above 1.  [default: CORRAL_WORKER_PROCESSES, else one per core]",
)
@click.option("--with-parent", is_flag=True, hidden=True, help="End when the process that started this one ends.")
def main(queues: tuple[str, ...], processes: int | None, *, with_parent: bool) -> None:
    """Take jobs from QUEUES (default: all) until SIGTERM; settings come from CORRAL_* variables.

    Ends with 0 after SIGTERM or Ctrl-C, with 2 when it is misconfigured, and with 1 when it
    should be started anew.
    """
    if with_parent:
        die_with_parent(signal.SIGKILL)
    try:
        settings = environment.load(WorkerSettings)
        configure(settings)
        registry = load(catalogue(), queues)
        if processes is not None:
            settings = settings.model_copy(update={"worker_processes": processes})
        sys.exit(serve(settings, registry))
    except Misconfigured as error:
        click.echo(f"corral: {error}", err=True)
        sys.exit(MISCONFIGURED)
    except CorralError as error:
        click.echo(f"corral: {error}", err=True)
        sys.exit(START_ANEW)


def serve(settings: WorkerSettings, registry: Registry, module: str = "worker") -> int:
    """Run the worker, in this process or in several below it, and give the code to exit with.

    Raises:
        CorralError: it cannot go on; the class says whether starting it anew may help.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if settings.worker_processes > 1:
            return runner.run(process_group.run(settings, registry, module))
        from worker import app  # noqa: PLC0415 - a supervisor takes no job, and does without these 10 MB

        runner.run(app.run(settings, registry))
    return STOPPED
