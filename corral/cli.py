"""The command line. Each command is a few lines that call the part it is about, and loads when it is called."""

from importlib import import_module

import click

from schemas import VERSION

# The module of each, and what its help begins with: to import them all for that takes half a second.
COMMANDS = {
    "audit": ("queue", "Print who steered what, newest first."),
    "callback": ("callback", "Look at callbacks, and send them again."),
    "demo": ("stack", "Run the main job once: sample documents in, signed callbacks out."),
    "dev": ("stack", "Run Valkey, the API and a worker until Ctrl-C; start what dies anew."),
    "doc": ("document", "Convert SOURCE, a file, an http(s) address or -, and print what it became."),
    "doctor": ("doctor", "Look at this machine and its settings; exit 1 when Corral could not run."),
    "endpoint": ("endpoint", "Register receivers of callbacks, and look after them."),
    "enqueue": ("job", "Add a job of KIND and print its id."),
    "job": ("job", "Look after jobs."),
    "listen": ("listen", "Forward your callbacks to a receiver on this machine, as they are sent, until Ctrl-C."),
    "queue": ("queue", "Look at queues, and pause, limit or drain them."),
    "schedule": ("schedule", "Have jobs added by the clock."),
    "secret": ("stack", "Print a new secret for CORRAL_CALLBACK_SECRET."),
    "worker": ("worker", "Look at workers, and drain or resize one."),
}


class _Commands(click.Group):
    """A group that knows its commands by name and help, and imports the one that is called."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, found, rest = super().resolve_command(ctx, args)
        return name, load(name) if name and found else None, rest


def load(name: str) -> click.Command:
    """Import a command."""
    module, _ = COMMANDS[name]
    command: click.Command = getattr(import_module(f"corral.commands.{module}"), name)
    return command


@click.group(cls=_Commands, commands=[click.Command(name, short_help=line) for name, (_, line) in COMMANDS.items()])
@click.version_option(VERSION, prog_name="corral")
def main() -> None:
    """Put jobs into queues; workers do them and call back."""
