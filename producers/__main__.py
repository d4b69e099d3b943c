"""``python -m producers serve``: runs the API on granian."""

import sys

import click
from granian import Granian
from granian.constants import Interfaces, Loops
from granian.log import LogLevels

from producers.callbacks.allow_list import AllowList
from producers.callbacks.seal import Seal
from producers.settings import ApiSettings
from schemas import settings as environment
from schemas.errors import Misconfigured

_STOP_S = 10


@click.group()
def main() -> None:
    """Run the side of Corral that takes jobs in."""


@main.command()
def serve() -> None:
    """Serve the API until SIGTERM or Ctrl-C; settings come from CORRAL_* variables."""
    try:
        settings = environment.load(ApiSettings)
        Seal.of(settings)
        AllowList.of(settings.callback_allow)
    except Misconfigured as error:
        sys.exit(f"corral: {error}")
    run(settings)


def run(settings: ApiSettings, factory: str = "producers.api.app:create") -> None:
    """Serve the app that ``factory`` makes in each process, until SIGTERM or Ctrl-C."""
    Granian(
        factory,
        factory=True,
        address=settings.api_host,
        port=settings.api_port,
        interface=Interfaces.ASGI,
        loop=Loops.uvloop,
        workers=settings.api_processes,
        workers_kill_timeout=_STOP_S,
        log_level=LogLevels.warning,
    ).serve()


if __name__ == "__main__":
    main()
