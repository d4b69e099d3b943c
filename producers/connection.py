"""How Corral connects to the queue's server: two profiles, because two sides need opposite things.

A producer must fail fast: its caller is waiting and has a 503 to hear. A worker must be patient:
its job is done, and the acknowledgement must outlast an outage.
"""

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import FullJitterBackoff, NoBackoff

from producers.pipelining import PipeliningRedis

# Full jitter, so that a fleet does not come back in step; together about 20 s.
_PATIENCE = Retry(FullJitterBackoff(cap=1.0, base=0.05), 50)


def fail_fast(url: str, *, timeout_s: float = 0.3) -> Redis:
    """Make a client whose calls end within ``timeout_s`` and are never tried twice."""
    return PipeliningRedis.from_url(
        url,
        decode_responses=True,
        socket_connect_timeout=timeout_s,
        socket_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
    )


def patient(url: str, *, block_s: float = 5.0) -> Redis:
    """Make a client that outlasts an outage of about 20 s and can block for ``block_s``.

    The socket's limit lies 10 s above the blocking read's: with the library's default, which
    equals the engine's, an idle worker's read times out first and its next job waits up to 17 s.
    """
    return PipeliningRedis.from_url(
        url,
        decode_responses=True,
        socket_connect_timeout=2.0,
        socket_timeout=block_s + 10.0,
        retry=_PATIENCE,
    )
