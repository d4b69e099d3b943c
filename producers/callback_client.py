"""A tenant's callbacks as they are sent, over the API: what ``corral listen`` uses, and any program may."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from http import HTTPStatus

import httpx

from producers.client import ApiRefused, Corral
from schemas.sent_callback import SentCallback

_AGAIN_S = 1.0
_PASSING = frozenset({HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS})


async def sent_callbacks(corral: Corral) -> AsyncGenerator[SentCallback | None, None]:
    """Give None each time that it begins to listen, then every callback; goes on by itself when the stream breaks.

    It holds a connection: iterate within ``contextlib.aclosing``.

    Raises:
        ApiRefused: the API says no.
        ApiUnreachable: there was never an answer.
    """
    place, has_listened = "", False
    while True:
        try:
            async with aclosing(corral.stream("/v1/listen", place)) as stream:
                async for event in stream:
                    has_listened, place = True, event.id or place
                    yield SentCallback.model_validate_json(event.data) if event.name == "callback" else None
        except httpx.TransportError as error:
            if not has_listened:
                raise corral.unreachable() from error
        except ApiRefused as error:
            # While the API starts anew, or still counts the connection that broke.
            if not has_listened or error.status not in _PASSING:
                raise
        await asyncio.sleep(_AGAIN_S)
