"""``corral callback``: what came of callbacks, and sending them again."""

from typing import Any

import click
from pydantic import ValidationError

from corral.commands.connection import call, explained, of_the_api
from producers.endpoint_client import Receivers
from schemas.callback_attempt import CallbackFilter, CallbackStatus
from schemas.envelope import describe

_STATE = click.option("--state", type=click.Choice(["retrying", "parked", "delivered", "failed"]))
_ENDPOINT = click.option("--endpoint", metavar="ID", help="Of one endpoint or origin.")
_SINCE = click.option("--since", metavar="TIME", help="Updated no earlier: 2026-01-31T12:00:00Z.")


@click.group()
def callback() -> None:
    """Look at callbacks, and send them again."""


@callback.command("list")
@_STATE
@_ENDPOINT
@_SINCE
@click.option("--limit", default=20, show_default=True, help="How many, the newest first.")
@of_the_api
@explained
def list_(api_url: str, token: str | None, **wanted: Any) -> None:  # noqa: ANN401 - the options of a filter
    """Print callbacks that have been tried or parked, the one updated last first."""
    meant = _filter(**wanted)
    for found in call(api_url, token, lambda corral: Receivers(corral).callbacks(meant)).callbacks:
        click.echo(_line(found))


@callback.command()
@click.argument("callback_id")
@of_the_api
@explained
def show(callback_id: str, api_url: str, token: str | None) -> None:
    """Print a callback with its attempts, as JSON."""
    click.echo(call(api_url, token, lambda corral: Receivers(corral).callback(callback_id)).model_dump_json(indent=2))


@callback.command()
@click.argument("callback_id")
@of_the_api
@explained
def replay(callback_id: str, api_url: str, token: str | None) -> None:
    """Send a callback again, and print the id of the job that does it."""
    click.echo(call(api_url, token, lambda corral: Receivers(corral).replay(callback_id)))


@callback.command("replay-all")
@_STATE
@_ENDPOINT
@_SINCE
@click.option("--dry-run", is_flag=True, help="Only print which they are.")
@of_the_api
@explained
def replay_all(*, dry_run: bool, api_url: str, token: str | None, **wanted: Any) -> None:  # noqa: ANN401 - as above
    """Send again every callback that the options mean, and print their ids."""
    cursor: str | None = None
    while True:
        meant = _filter(cursor=cursor, limit=500, **wanted)

        async def page(receivers: Receivers, meant: CallbackFilter = meant) -> dict[str, Any]:
            return await receivers.replay_all(meant, dry_run=dry_run)

        done = call(api_url, token, lambda corral: page(Receivers(corral)))
        for callback_id in done["callbacks"]:
            click.echo(callback_id + ("  is no longer kept" if callback_id in done["skipped"] else ""))
        if (cursor := done["next"]) is None:
            return


def _filter(**wanted: object) -> CallbackFilter:
    try:
        return CallbackFilter.model_validate(wanted)
    except ValidationError as error:
        raise click.UsageError(describe(error)) from error


def _line(found: CallbackStatus) -> str:
    status = found.status or "-"
    return f"{found.updated_at:%Y-%m-%dT%H:%M:%SZ}  {found.id}  {found.state}  {status}  {found.event}  {found.url}"
