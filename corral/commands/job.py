"""``corral enqueue`` and ``corral job``: add jobs and look after them, over the API."""

import json
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from corral.commands.connection import call, explained, of_the_api
from producers.client import Corral
from schemas.envelope import Callback, describe
from schemas.job_status import JobState, JobStatus

_UPLOAD = "@"


@click.command()
@click.argument("kind")
@click.argument("payload", required=False, default="{}")
@click.option("--callback", "callback_url", metavar="URL", help="Who hears of the job's end.")
@click.option("--key", metavar="KEY", help="Idempotency key: the same key means the same job.")
@click.option("--wait", is_flag=True, help="Follow the job and print its result; exit 1 when it failed.")
@of_the_api
@explained
def enqueue(  # noqa: PLR0913 - each is an option of the command
    kind: str,
    payload: str,
    callback_url: str | None,
    key: str | None,
    *,
    wait: bool,
    api_url: str,
    token: str | None,
) -> None:
    """Add a job of KIND and print its id.

    PAYLOAD is JSON, or - for standard input. In it "@FILE" stands for a file: it is uploaded and
    its reference put in its place.

    \b
    corral enqueue documents.convert '{"source": {"file": "@report.pdf"}}' --wait
    """  # noqa: D301 - click's mark before lines that stay as they are
    content = payload_of(payload)
    callback = callback_of(callback_url)

    async def step(corral: Corral) -> None:
        filled = await _uploaded(content, corral)
        job_id = await corral.enqueue(kind, filled, callback=callback, idempotency_key=key)
        if not wait:
            click.echo(job_id)
            return
        status = await _follow(job_id, corral)
        if status.state is not JobState.COMPLETED:
            raise click.ClickException(str(status.error or f"the job is {status.state}"))
        click.echo(json.dumps(await corral.result(job_id), indent=2))

    call(api_url, token, step)


@click.group()
def job() -> None:
    """Look after jobs."""


@job.command()
@click.argument("job_id")
@click.option("--follow", is_flag=True, help="Print what happens until the job has ended.")
@of_the_api
@explained
def show(job_id: str, *, follow: bool, api_url: str, token: str | None) -> None:
    """Print a job's state, progress, attempts, times, and its result when it has one."""

    async def step(corral: Corral) -> None:
        status = await (_follow(job_id, corral) if follow else corral.status(job_id))
        shown: dict[str, Any] = status.model_dump(mode="json", exclude_none=True, exclude={"links"})
        if status.state is JobState.COMPLETED:
            shown["result"] = await corral.result(job_id)
        click.echo(json.dumps(shown, indent=2))

    call(api_url, token, step)


@job.command()
@click.argument("job_id")
@of_the_api
@explained
def logs(job_id: str, api_url: str, token: str | None) -> None:
    """Print what the job's handler wrote."""
    for line in call(api_url, token, lambda corral: corral.logs(job_id)):
        click.echo(line)


@job.command()
@click.argument("job_id")
@of_the_api
@explained
def cancel(job_id: str, api_url: str, token: str | None) -> None:
    """Ask for a job's end, wherever it runs."""
    click.echo(call(api_url, token, lambda corral: corral.cancel(job_id)).state)


def callback_of(url: str | None) -> Callback | None:
    """Read an option ``--callback``: an address, or the id of an endpoint."""
    if url is None:
        return None
    try:
        return Callback.model_validate({"endpoint" if url.startswith("ep_") else "url": url})
    except ValidationError as error:
        raise click.BadParameter(f"--callback: {describe(error)}") from error


def payload_of(text: str) -> Any:  # noqa: ANN401 - any JSON
    """Read an argument PAYLOAD, or standard input for ``-``."""
    given = sys.stdin.read() if text == "-" else text
    try:
        return json.loads(given)
    except ValueError as error:
        raise click.BadParameter(f"PAYLOAD is not JSON: {error}") from error


async def _uploaded(value: Any, corral: Corral) -> Any:  # noqa: ANN401 - any JSON
    match value:
        case dict():
            return {key: await _uploaded(item, corral) for key, item in value.items()}
        case list():
            return [await _uploaded(item, corral) for item in value]
        case str() if value.startswith(_UPLOAD):
            return (await corral.upload(_file(value.removeprefix(_UPLOAD)))).ref
        case _:
            return value


def _file(name: str) -> Path:
    if not Path(name).is_file():
        raise click.BadParameter(f"there is no file {name}")
    return Path(name)


async def _follow(job_id: str, corral: Corral) -> JobStatus:
    status = await corral.status(job_id)
    async with aclosing(corral.events(job_id)) as events:
        async for event in events:
            if event.progress:
                click.echo(f"{event.progress.done} of {event.progress.total} {event.progress.unit}", err=True)
            elif event.status:
                status = event.status
                click.echo(status.state, err=True)
    return status
