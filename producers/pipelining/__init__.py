"""A redis-py client that puts the commands of one turn of the event loop into a few writes, over one socket.

    async def example(url: str) -> list[object]:
        async with PipeliningRedis.from_url(url, decode_responses=True) as redis:
            await redis.set("visits", 41)
            # Two calls that do not wait for each other; each gets its own reply.
            return await asyncio.gather(redis.incr("visits"), redis.get("visits"))

It takes redis-py's place wherever a ``redis.asyncio.Redis`` is asked for, with the same options.
``socket_timeout`` is the limit of a command, ``socket_connect_timeout`` that of one try to connect, and
``retry`` says how often and how far apart connecting is tried again. Three things are different:

- **Nothing that may have run is tried again.** A call that was written when its connection broke ends in
  `ConnectionLostError`; one that was not yet written waits for the next, as long as ``retry`` lets it.
- **A late reply breaks the connection**, because the replies behind it wait for it. The calls whose limit has
  passed end in `CommandTimeoutError`, the others in `ConnectionLostError`. A cancelled caller's reply is dropped.
- **Callers wait** while ``max_in_flight`` commands or ``max_bytes`` of them are under way.

What blocks or belongs to one socket has one of its own from the client's pool: BLPOP, XREAD BLOCK, WAIT and the
like, pipelines after WATCH, pubsub and monitor. Other pipelines go out as one block between other callers' commands.
A client belongs to one event loop. redis-py's own recording for OpenTelemetry sees the pool's commands only.
"""

from producers.pipelining.client import PipeliningPipeline, PipeliningRedis
from producers.pipelining.link import CommandTimeoutError, ConnectionLostError

__all__ = ["CommandTimeoutError", "ConnectionLostError", "PipeliningPipeline", "PipeliningRedis"]
