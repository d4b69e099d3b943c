"""``python -m tests.soak [--jobs N] [--json FILE]``: 1, and what is wrong, when a promise was broken."""

import sys
import tempfile
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from tests.soak.report import show
from tests.soak.soak import Plan, Soak
from tests.support.orphan import adopt_orphans


@click.command()
@click.option("--jobs", default=200_000, show_default=True, help="How many are put in.")
@click.option("--seconds", default=86_400.0, help="Put no more in after so long.")
@click.option("--kill-every", "kill_every_s", default=5.0, show_default=True, help="A worker process, in seconds.")
@click.option("--restart-every", "restart_every_s", default=60.0, show_default=True, help="The server, in seconds.")
@click.option("--processes", default=4, show_default=True, help="Workers under the supervisor.")
@click.option("--settle", "settle_s", default=400.0, show_default=True, help="How long the last jobs may take.")
@click.option("--seed", default=0, show_default=True, help="Of the mixture and of who is killed.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the report there.")
@click.option("--folder", type=click.Path(path_type=Path), help="Keep data and logs there.")
def main(file: Path | None, folder: Path | None, **plan: Any) -> None:  # noqa: ANN401 - the fields of the plan
    """Put mixed jobs in while workers are killed and the server is restarted, and look whether each ended once.

    Ctrl-C puts no more in, and looks at those that were.
    """
    adopt_orphans()
    with tempfile.TemporaryDirectory(prefix="corral-soak-") as temporary:
        home = folder or Path(temporary)
        home.mkdir(parents=True, exist_ok=True)
        report = Soak(Plan(**plan), click.echo).run(home)
    show(report, Console(width=200))
    if file is not None:
        report.write(file)
    sys.exit(not all(target.met for target in report.targets))


if __name__ == "__main__":
    main()
