"""The command line. Each command is a few lines that call the part it is about."""

import click

from corral.commands.callback import callback
from corral.commands.doctor import doctor
from corral.commands.document import doc
from corral.commands.endpoint import endpoint
from corral.commands.job import enqueue, job
from corral.commands.listen import listen
from corral.commands.queue import audit, queue
from corral.commands.schedule import schedule
from corral.commands.stack import demo, dev, secret
from corral.commands.worker import worker
from schemas import VERSION


@click.group()
@click.version_option(VERSION, prog_name="corral")
def main() -> None:
    """Put jobs into queues; workers do them and call back."""


for command in (
    demo,
    dev,
    doc,
    enqueue,
    job,
    listen,
    schedule,
    endpoint,
    callback,
    doctor,
    secret,
    queue,
    worker,
    audit,
):
    main.add_command(command)
