"""Which commands need a socket of their own, and which a shared socket must never see."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from redis import exceptions
from redis.client import NEVER_DECODE

_BLOCKING = frozenset(
    {"BLMOVE", "BLMPOP", "BLPOP", "BRPOP", "BRPOPLPUSH", "BZMPOP", "BZPOPMAX", "BZPOPMIN", "HIMPORT", "WAIT", "WAITAOF"}
)
_ASKED_MORE = frozenset({"CLIENT", "XREAD", "XREADGROUP"})  # their further words decide
# They change a socket under its other users; a client has options, pipeline(), pubsub() and monitor() for it.
_TRANSACTION = frozenset({"DISCARD", "EXEC", "MULTI", "UNWATCH", "WATCH"})
_SESSION = frozenset({"AUTH", "HELLO", "MONITOR", "PSUBSCRIBE", "QUIT", "RESET", "SELECT", "SSUBSCRIBE", "SUBSCRIBE"})
_REFUSED = _TRANSACTION | _SESSION | {"CLIENT CACHING", "CLIENT REPLY", "CLIENT TRACKING"}


def is_apart(args: tuple[Any, ...], options: Mapping[str, Any]) -> bool:
    """Say whether a command needs a socket of its own: it blocks, or redis-py reads its reply undecoded.

    Raises:
        exceptions.DataError: it would change the socket under its other users.
    """
    word = _first_word(args[0])
    if word in _ASKED_MORE:
        words = " ".join(arg.decode("latin-1") if isinstance(arg, bytes) else str(arg) for arg in args).upper().split()
        if word != "CLIENT":
            return "BLOCK" in words
        word = " ".join(words[:2])
    if word in _REFUSED:
        raise exceptions.DataError(
            f"{word} would change a socket that others use: give the client an option, or use pipeline()"
        )
    return word in _BLOCKING or NEVER_DECODE in options


@lru_cache(maxsize=1_024)
def _first_word(name: str | bytes) -> str:
    return (name.decode("latin-1") if isinstance(name, bytes) else name).upper().split()[0]
