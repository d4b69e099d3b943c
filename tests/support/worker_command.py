"""The worker's command with handlers of the tests' own: real settings, supervisor, signals and exit codes."""

import signal
import sys
from collections.abc import Callable, Iterable

import click

from producers.child_process import die_with_parent
from producers.log import configure
from schemas import settings as environment
from schemas.errors import CorralError, Misconfigured
from worker.command import serve
from worker.exit_code import MISCONFIGURED, START_ANEW
from worker.registry import Entry, Registry
from worker.settings import WorkerSettings


def worker_command(module: str, entries: Callable[[], Iterable[Entry]]) -> click.Command:
    """Make the command of ``python -m <module>``; it serves the queues that it is given, or all of the entries."""

    @click.command()
    @click.argument("queues", nargs=-1)
    @click.option("--with-parent", is_flag=True)
    def main(queues: tuple[str, ...], *, with_parent: bool) -> None:
        if with_parent:
            die_with_parent(signal.SIGKILL)
        settings = environment.load(WorkerSettings)
        configure(settings)
        registry = Registry(one for one in entries() if not queues or one.spec.queue in queues)
        try:
            sys.exit(serve(settings, registry, module))
        except CorralError as error:
            click.echo(f"corral: {error}", err=True)
            sys.exit(MISCONFIGURED if isinstance(error, Misconfigured) else START_ANEW)

    return main
