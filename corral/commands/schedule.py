"""``corral schedule``: jobs that are added again and again, by the clock."""

import json

import click
from pydantic import ValidationError

from corral.commands.connection import call, explained, of_the_api
from corral.commands.job import callback_of, payload_of
from schemas.envelope import describe
from schemas.schedule import ScheduleRequest, ScheduleStatus

_TIME = "%Y-%m-%dT%H:%M:%SZ"


@click.group()
def schedule() -> None:
    """Have jobs added by the clock."""


@schedule.command()
@click.argument("schedule_id")
@click.argument("kind")
@click.argument("payload", required=False, default="{}")
@click.option("--cron", metavar="EXPRESSION", help="Five fields, by the wall clock of the time zone.")
@click.option("--timezone", default="UTC", show_default=True, help="An IANA name, for --cron.")
@click.option("--every", "every_s", type=int, metavar="SECONDS", help="In even distances, the first time at once.")
@click.option("--callback", "callback_url", metavar="URL", help="Who hears of the end of each job.")
@of_the_api
@explained
def put(  # noqa: PLR0913 - each is an option of the command
    schedule_id: str,
    kind: str,
    payload: str,
    *,
    cron: str | None,
    timezone: str,
    every_s: int | None,
    callback_url: str | None,
    api_url: str,
    token: str | None,
) -> None:
    r"""Keep a schedule of KIND under an id of yours; an older one of the id is replaced.

    \b
    corral schedule put nightly imports.sweep '{}' --cron '30 2 * * *' --timezone Europe/Zurich
    """
    if (cron is None) == (every_s is None):
        raise click.UsageError("say when: --cron or --every")
    when = {"cron": cron, "timezone": timezone} if cron else {"every_s": every_s}
    try:
        request = ScheduleRequest.model_validate(
            {"kind": kind, "payload": payload_of(payload), "when": when, "callback": callback_of(callback_url)}
        )
    except ValidationError as error:
        raise click.UsageError(describe(error)) from error
    kept = call(api_url, token, lambda corral: corral.put_schedule(schedule_id, request))
    click.echo(_line(kept))


@schedule.command("list")
@of_the_api
@explained
def show_all(api_url: str, token: str | None) -> None:
    """Print every schedule: when it fires next, its id, its kind, when, and whose it is; and what went wrong."""
    for kept in call(api_url, token, lambda corral: corral.schedules()):
        click.echo(_line(kept))


@schedule.command()
@click.argument("schedule_id")
@of_the_api
@explained
def remove(schedule_id: str, api_url: str, token: str | None) -> None:
    """End a schedule; jobs that it has added go on."""
    call(api_url, token, lambda corral: corral.remove_schedule(schedule_id))


def _line(kept: ScheduleStatus) -> str:
    when = json.dumps(kept.when.model_dump())
    line = f"{kept.next_at:{_TIME}}  {kept.id}  {kept.kind}  {when}  {kept.origin}"
    if kept.failed is None:
        return line
    verdict = "is tried again" if kept.failed.tried_again else "was given up"
    return f"{line}  (that of {kept.failed.due_at:{_TIME}} {verdict}: {kept.failed.error})"
