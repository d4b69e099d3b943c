"""Waiting until something is so, in place of sleeping for as long as it usually takes."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar, overload

T = TypeVar("T")

_POLL_S = 0.02


class TooLateError(AssertionError):
    """What a test waited for did not come."""


@overload
async def until(condition: Callable[[], Awaitable[T | None]], *, within_s: float = 10.0) -> T: ...


@overload
async def until(condition: Callable[[], T | None], *, within_s: float = 10.0) -> T: ...


async def until(condition: Callable[[], Any], *, within_s: float = 10.0) -> Any:
    """Give the condition's first true value; it may be a plain or an async function.

    Raises:
        TooLateError: ``within_s`` seconds have passed; the message has the last value.
    """
    deadline = time.monotonic() + within_s
    while True:
        value = condition()
        answer = await value if inspect.isawaitable(value) else value
        if answer:
            return answer
        _check(deadline, within_s, answer)
        await asyncio.sleep(_POLL_S)


async def passed(seconds: float, *, unless: asyncio.Event | None = None) -> None:
    """Let time pass, where that is what the thing is made of: an outage, a job that takes long; less when told."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await (unless or asyncio.Event()).wait()


def until_sync(condition: Callable[[], T], *, within_s: float = 10.0) -> T:
    """Do as ``until`` does, where no event loop runs."""
    deadline = time.monotonic() + within_s
    while True:
        if answer := condition():
            return answer
        _check(deadline, within_s, answer)
        time.sleep(_POLL_S)


def _check(deadline: float, within_s: float, last: object) -> None:
    if time.monotonic() > deadline:
        raise TooLateError(f"not within {within_s} s; the last value was {last!r}")
