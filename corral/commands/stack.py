"""``corral dev``, ``corral demo`` and ``corral secret``: Corral on this machine."""

import signal
import sys
import threading
from pathlib import Path

import click

from corral.commands.connection import explained
from corral.demo import demo as run_demo
from corral.stack import running
from producers.callbacks.seal import new_key
from producers.callbacks.signing_key import Signature, SigningKey
from producers.child_process import die_with_parent
from producers.log import hide

_DATA_FOLDER = click.option(
    "--data",
    "data_folder",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="CORRAL_DATA_FOLDER",
    show_envvar=True,
    default=Path(".corral"),
    show_default=True,
    help="Where all state lies.",
)
_LOOK_EVERY_S = 0.25


@click.command()
@_DATA_FOLDER
@explained
def demo(data_folder: Path) -> None:
    """Run the main job once: sample documents in, signed callbacks out."""
    sys.exit(0 if run_demo(data_folder / "demo") else 1)


@click.command()
@_DATA_FOLDER
@click.option(
    "--port",
    type=click.IntRange(1, 65_535),
    envvar="CORRAL_API_PORT",
    show_envvar=True,
    default=8000,
    show_default=True,
    help="The API's.",
)
@click.option("--with-parent", is_flag=True, help="End when the process that started this one ends.")
@explained
def dev(data_folder: Path, port: int, *, with_parent: bool) -> None:
    """Run Valkey, the API and a worker until Ctrl-C; start what dies anew."""
    if with_parent:
        die_with_parent(signal.SIGTERM)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with running(data_folder, api_port=port) as stack:
        click.echo(f"api        {stack.api_url}  (its description: {stack.api_url}/openapi.json)")
        click.echo(hide(None, "", f"server     {stack.environment['CORRAL_REDIS_URL']}"))
        click.echo(f"secret     {data_folder / 'callback-secret'} verifies callbacks")
        click.echo("Ctrl-C ends it; nothing is lost.")
        while not stop.wait(_LOOK_EVERY_S):
            for process in stack.processes:
                if noticed := process.mend():
                    click.echo(noticed, err=True)
        click.echo("ending: jobs under way may finish", err=True)


@click.command()
@click.option(
    "--public", "signature", flag_value="ed25519", help="A private key, and on a line of its own its public one."
)
@click.option(
    "--sealing", is_flag=True, help="A key for CORRAL_SEALING_KEYS instead, which endpoints' secrets lie under."
)
def secret(signature: Signature | None, *, sealing: bool) -> None:
    """Print a new secret for CORRAL_CALLBACK_SECRET."""
    if sealing:
        click.echo(new_key())
        return
    key = SigningKey.new(signature or "hmac-sha256")
    click.echo(key.text)
    if key.public:
        click.echo(key.public)
