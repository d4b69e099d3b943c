"""``python -m worker [QUEUE...]``: takes jobs from the queues named, or from all."""

import asyncio
import sys

import click
import uvloop

from producers.log import configure
from schemas import settings as environment
from schemas.errors import CorralError, Misconfigured
from schemas.job_spec import catalogue
from worker import app
from worker.registry import load
from worker.settings import WorkerSettings


@click.command()
@click.argument("queues", nargs=-1)
def main(queues: tuple[str, ...]) -> None:
    """Take jobs from QUEUES (default: all) until SIGTERM; settings come from CORRAL_* variables.

    Ends with 0 after SIGTERM or Ctrl-C, with 2 when it is misconfigured, and with 1 when it
    should be started anew.
    """
    try:
        settings = environment.load(WorkerSettings)
        configure(settings)
        registry = load(catalogue(), queues)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(app.run(settings, registry))
    except Misconfigured as error:
        click.echo(f"corral: {error}", err=True)
        sys.exit(2)
    except CorralError as error:
        click.echo(f"corral: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
