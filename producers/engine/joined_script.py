"""Several scripts as one: a single round trip, and nobody sees what is half done.

Each part is a script that could be called alone, the engine's own too, unchanged: it becomes a function with keys
and arguments of its own. The parts run in order, until one gives what its ``ends`` says, or all have run.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from redis.asyncio import Redis

from producers.engine.known_script import KnownScript

# Written in Lua, of what the part has given.
NEVER = "false"
WHEN_TRUE = "given"
WHEN_NUMBER = "type(given) == 'number'"


class Part(NamedTuple):
    """A script and what it is called with. No other script may have its ``name``."""

    name: str
    text: str
    keys: Sequence[str]
    args: Sequence[Any]
    ends: str = NEVER


class JoinedScripts:
    """Runs parts as one script through one client; the same parts, with other keys and arguments, are one script."""

    def __init__(self, redis: Redis) -> None:
        """Begin with none."""
        self._redis = redis
        self._scripts: dict[tuple[tuple[str, int, int], ...], KnownScript] = {}

    async def run(self, *parts: Part) -> tuple[str | None, Any]:
        """Give the name of the part that ended it, or None, and what the last that ran has given."""
        shape = tuple([(part.name, len(part.keys), len(part.args)) for part in parts])
        script = self._scripts.get(shape)
        if script is None:
            script = self._scripts[shape] = KnownScript(self._redis, _joined(parts))
        keys = [key for part in parts for key in part.keys]
        args = [arg for part in parts for arg in part.args]
        ended_by, *given = await script.run(len(keys), *keys, *args)
        return parts[ended_by - 1].name if ended_by else None, given[0] if given else None


def _joined(parts: Sequence[Part]) -> str:
    functions, calls, keys, args = "", "local given\n", 0, 0
    for number, part in enumerate(parts, 1):
        functions += f"local function part_{number}(KEYS, ARGV)\n{part.text}\nend\n"
        keys, keys_from = keys + len(part.keys), keys + 1
        args, args_from = args + len(part.args), args + 1
        calls += (
            f"given = part_{number}({{unpack(KEYS, {keys_from}, {keys})}}, {{unpack(ARGV, {args_from}, {args})}})\n"
            f"if {part.ends} then return {{{number}, given}} end\n"
        )
    return f"{functions}{calls}return {{0, given}}"
