"""The command line: ``corral``. Each command is a few lines that call the part it is about."""

import sys
from pathlib import Path

import click

from corral.demo import demo as run_demo

DATA_FOLDER = Path(".corral")


@click.group()
def main() -> None:
    """Put jobs into queues; workers do them and call back."""


@main.command()
def demo() -> None:
    """Run the main job once: sample documents in, signed callbacks out."""
    sys.exit(0 if run_demo(DATA_FOLDER / "demo") else 1)


if __name__ == "__main__":
    main()
