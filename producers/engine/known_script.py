"""A script that is called by its hash, as redis-py's own do it, less what those cost on a hot path."""

import asyncio
from hashlib import sha1
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError


class KnownScript:
    """A script that the server is told once, however many callers find that it does not know it."""

    def __init__(self, redis: Redis, text: str) -> None:
        """Call ``text`` through ``redis``."""
        self._redis: Any = redis
        self._text = text
        self._sha = sha1(text.encode()).hexdigest()  # noqa: S324 - the server's way to name a script
        self._loading = asyncio.Lock()
        self._loads = 0

    async def run(self, *args: Any) -> Any:  # noqa: ANN401 - a script's
        """Call it with the number of its keys, the keys and the arguments.

        Raises:
            RedisError: the server does not answer, or the script has failed.
        """
        loads = self._loads
        try:
            return await self._redis.execute_command("EVALSHA", self._sha, *args)
        except NoScriptError:
            async with self._loading:
                if loads == self._loads:
                    await self._redis.script_load(self._text)
                    self._loads += 1
            return await self._redis.execute_command("EVALSHA", self._sha, *args)
