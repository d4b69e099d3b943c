"""``corral queue``: look at queues and steer them, over the API, as the operator."""

import json

import click
from pydantic import BaseModel

from corral.commands.connection import call, explained, of_the_api
from producers.operator_client import Operator
from schemas.queue_status import QueueLimits, QueueStatus, RateLimit

_UNLIMITED = "none"


@click.group()
def queue() -> None:
    """Look at queues, and pause, limit or drain them."""


@queue.command("list")
@of_the_api
@explained
def list_(api_url: str, token: str | None) -> None:
    """Print every queue: its jobs by state, its limits, and whether it is paused."""
    for found in call(api_url, token, lambda corral: Operator(corral).queues()):
        click.echo(_line(found))


@queue.command()
@click.argument("name")
@of_the_api
@explained
def pause(name: str, api_url: str, token: str | None) -> None:
    """Have no worker take a job of the queue NAME; what runs goes on, and jobs may be added."""
    click.echo(_line(call(api_url, token, lambda corral: Operator(corral).pause(name))))


@queue.command()
@click.argument("name")
@of_the_api
@explained
def resume(name: str, api_url: str, token: str | None) -> None:
    """Have workers take jobs of the queue NAME again."""
    click.echo(_line(call(api_url, token, lambda corral: Operator(corral).resume(name))))


@queue.command()
@click.argument("name")
@click.option("--delayed", is_flag=True, help="Also the jobs that wait for a time.")
@click.confirmation_option(prompt="Every job that has not begun will end as cancelled. Go on?")
@of_the_api
@explained
def drain(name: str, *, delayed: bool, api_url: str, token: str | None) -> None:
    """Ask for the end of every job of the queue NAME that has not begun; callbacks say `job.cancelled`."""
    done = call(api_url, token, lambda corral: Operator(corral).drain(name, delayed=delayed))
    click.echo(f"{done.cancelled} jobs will end as cancelled")


@queue.command()
@click.argument("name")
@click.option("--concurrency", default=_UNLIMITED, show_default=True, metavar="N", help="How many jobs run at once.")
@click.option("--rate", default=_UNLIMITED, show_default=True, metavar="JOBS/SECONDS", help="How many jobs begin.")
@of_the_api
@explained
def limit(name: str, concurrency: str, rate: str, api_url: str, token: str | None) -> None:
    """Set what holds for the queue NAME over all workers; what is not given is lifted.

    So `--concurrency 4 --rate 100/60` lets 4 run at once and 100 begin in a minute.
    """
    try:
        limits = QueueLimits(
            concurrency=None if concurrency == _UNLIMITED else int(concurrency),
            rate=None if rate == _UNLIMITED else _rate(rate),
        )
    except ValueError as error:
        raise click.BadParameter("give --concurrency a number and --rate two, as in 100/60") from error
    click.echo(_line(call(api_url, token, lambda corral: Operator(corral).limit(name, limits))))


@click.command()
@click.option("--limit", "most", default=20, show_default=True, type=click.IntRange(1, 1_000), help="How many.")
@of_the_api
@explained
def audit(most: int, api_url: str, token: str | None) -> None:
    """Print who steered what, newest first."""
    for entry in call(api_url, token, lambda corral: Operator(corral).audit(most)):
        click.echo(_json(entry))


def _rate(text: str) -> RateLimit:
    jobs, _, per_s = text.partition("/")
    return RateLimit(jobs=int(jobs), per_s=float(per_s or 1))


def _line(found: QueueStatus) -> str:
    counts = " ".join(f"{state}={count}" for state, count in found.counts.items() if count) or "empty"
    limits = [f"at most {found.limits.concurrency} at once"] if found.limits.concurrency else []
    if found.limits.rate:
        limits.append(f"{found.limits.rate.jobs} in {found.limits.rate.per_s:g} s")
    return "  ".join([f"{found.queue:<14}", *(["PAUSED"] if found.paused else []), counts, *limits])


def _json(found: BaseModel) -> str:
    return json.dumps(found.model_dump(mode="json"))
