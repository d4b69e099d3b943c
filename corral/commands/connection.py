"""How a command reaches the API, and how it says what went wrong."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import click

from producers.client import Corral
from schemas.errors import CorralError

P = ParamSpec("P")
T = TypeVar("T")


class Failed(click.ClickException):
    """What a person sees in place of a trace: the code, and what to do."""

    def __init__(self, error: CorralError) -> None:
        """Show an error of ours."""
        super().__init__(str(error.public()))


def explained(command: Callable[P, T]) -> Callable[P, T]:
    """Turn an error of ours into one line and exit code 1."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except CorralError as error:
            raise Failed(error) from error

    return run


def of_the_api(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say where the API is and who is asking."""
    where = click.option(
        "--api",
        "api_url",
        envvar="CORRAL_API_URL",
        default="http://127.0.0.1:8000",
        show_default=True,
        show_envvar=True,
        help="The API's address.",
    )
    who = click.option("--token", envvar="CORRAL_API_TOKEN", show_envvar=True, help="The tenant's token.")
    return where(who(command))


def call(api_url: str, token: str | None, step: Callable[[Corral], Awaitable[T]]) -> T:
    """Do one thing with the API."""

    async def connected() -> T:
        async with Corral(api_url, token=token) as corral:
            return await step(corral)

    return asyncio.run(connected())
