"""``corral worker``: look at workers and steer one of them, over the API, as the operator."""

import click

from corral.commands.connection import call, explained, of_the_api
from producers.operator_client import Operator
from schemas.worker_status import MOST_CONCURRENCY, WorkerStatus

_MEGABYTE = 1024**2


@click.group()
def worker() -> None:
    """Look at workers, and drain or resize one."""


@worker.command("list")
@of_the_api
@explained
def list_(api_url: str, token: str | None) -> None:
    """Print every worker: its id, state, memory, and the places used in each queue."""
    for found in call(api_url, token, lambda corral: Operator(corral).workers()):
        click.echo(_line(found))


@worker.command()
@click.argument("worker_id")
@of_the_api
@explained
def drain(worker_id: str, api_url: str, token: str | None) -> None:
    """Have WORKER_ID take nothing more; what it runs may end."""
    call(api_url, token, lambda corral: Operator(corral).drain_worker(worker_id))
    click.echo("it takes nothing more; see `corral worker list` for when it is drained")


@worker.command()
@click.argument("worker_id")
@of_the_api
@explained
def resume(worker_id: str, api_url: str, token: str | None) -> None:
    """Have WORKER_ID take jobs again."""
    call(api_url, token, lambda corral: Operator(corral).resume_worker(worker_id))
    click.echo("it takes jobs again")


@worker.command()
@click.argument("worker_id")
@click.argument("queue")
@click.argument("concurrency", type=click.IntRange(1, MOST_CONCURRENCY))
@of_the_api
@explained
def resize(worker_id: str, queue: str, concurrency: int, api_url: str, token: str | None) -> None:
    """Have WORKER_ID run CONCURRENCY jobs of QUEUE at once, until it ends."""
    call(api_url, token, lambda corral: Operator(corral).resize_worker(worker_id, queue, concurrency))
    click.echo(f"it runs {concurrency} of {queue} at once from now on")


def _line(found: WorkerStatus) -> str:
    places = " ".join(f"{one.queue}={one.used}/{one.concurrency}" for one in found.queues)
    return f"{found.id}  {found.state:<8}  {found.memory_bytes / _MEGABYTE:.0f} MB  {found.version}  {places}"
