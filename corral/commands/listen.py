"""``corral listen``: a tenant's callbacks on this machine, without a way in from outside."""

import json
from contextlib import aclosing, suppress
from datetime import datetime

import click
import httpx
from pydantic import HttpUrl, TypeAdapter, ValidationError

from corral.commands.connection import call, explained, of_the_api
from producers.callback_client import sent_callbacks
from producers.client import Corral
from schemas.sent_callback import SentCallback

_ANSWER_S = 30.0


@click.command()
@click.option("--forward-to", "url", required=True, metavar="URL", help="Your receiver: http://localhost:3000/hook")
@of_the_api
@explained
def listen(url: str, api_url: str, token: str | None) -> None:
    """Forward your callbacks to a receiver on this machine, as they are sent, until Ctrl-C.

    Each one comes with the headers and the body that are signed, so the receiver verifies it as it would any
    other. Whether and how often it is sent to its own address does not change by this.
    """
    try:
        TypeAdapter(HttpUrl).validate_python(url)
    except ValidationError as error:
        raise click.BadParameter("--forward-to: give an http or https address") from error

    async def step(corral: Corral) -> None:
        async with (
            httpx.AsyncClient(timeout=_ANSWER_S, trust_env=False) as receiver,
            aclosing(sent_callbacks(corral)) as callbacks,
        ):
            async for sent in callbacks:
                if sent is None:
                    click.echo(f"listening at {api_url}; callbacks go to {url}. Ctrl-C ends it.", err=True)
                    continue
                answer = await _forward(sent, url, receiver)
                now = f"{datetime.now().astimezone():%H:%M:%S}"
                click.echo(f"{now}  {_type(sent)}  {sent.headers.get('webhook-id')}  {answer}")

    with suppress(KeyboardInterrupt):
        call(api_url, token, step)


async def _forward(sent: SentCallback, url: str, receiver: httpx.AsyncClient) -> str:
    try:
        answer = await receiver.post(url, content=sent.body.encode(), headers=sent.headers)
    except httpx.HTTPError as error:
        return f"no answer ({type(error).__name__})"
    return str(answer.status_code)


def _type(sent: SentCallback) -> str:
    return str(json.loads(sent.body)["type"])
