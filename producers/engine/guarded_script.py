"""The engine's scripts that add jobs, made to add nothing where a key is there.

The look is one line before each script, so it is one step with what the script does: whoever else tries
at the same moment comes before or after. The scripts themselves are the engine's, unchanged.
"""

from collections.abc import Awaitable, Callable, Sequence
from copy import copy
from functools import partial
from typing import Any

from redis.asyncio import Redis

_LOOK = "if redis.call('EXISTS', ARGV[#ARGV]) == 1 then return '' end\n"
ADDING = ("addParentJob", "addStandardJob", "addDelayedJob", "addPrioritizedJob")


class GuardedScripts:
    """Makes guarded scripts for one client, each once: they are the same for every queue."""

    def __init__(self, redis: Redis) -> None:
        """Begin with none."""
        self._redis = redis
        self._guarded: dict[str, Any] = {}

    def unless(self, key: str, scripts: Any) -> Any:  # noqa: ANN401 - the package's, which ships no types
        """Give a queue's scripts as they are, but that those which add return ``''`` where ``key`` is there."""
        made = copy(scripts)
        made.commands = {name: self._call(name, scripts.commands[name].script, key) for name in ADDING}
        return made

    def _call(self, name: str, text: str, key: str) -> Callable[..., Awaitable[Any]]:
        if name not in self._guarded:
            self._guarded[name] = self._redis.register_script(_LOOK + text)
        return partial(_run, self._guarded[name], key)


async def _run(script: Any, key: str, *, keys: Sequence[str], args: Sequence[Any], client: Any) -> Any:  # noqa: ANN401 - as above
    return await script(keys=keys, args=[*args, key], client=client)
