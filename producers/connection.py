"""How Corral connects to the queue's server: two profiles, because two sides need opposite things.

A producer must fail fast: its caller is waiting and has a 503 to hear. A worker must be patient:
its job is done, and the acknowledgement must outlast an outage.
"""

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import BusyLoadingError, ConnectionError, TimeoutError  # noqa: A004 - redis-py's names

_TRANSIENT = [BusyLoadingError, ConnectionError, TimeoutError]


_MOST_CONNECTIONS = 64
_MOST_PATIENT_CONNECTIONS = 1_000


def fail_fast(url: str, *, timeout_s: float = 0.3) -> Redis:
    """Make a client whose calls end within ``timeout_s`` and are never tried twice.

    A burst of callers shares 64 connections and waits its turn within the same time; the library's
    default would raise an error for the 101st.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=_MOST_CONNECTIONS,
        timeout=timeout_s,
        decode_responses=True,
        socket_connect_timeout=timeout_s,
        socket_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
    )
    return Redis.from_pool(pool)


def patient(url: str, *, block_s: float = 5.0) -> Redis:
    """Make a client that outlasts an outage of about 20 s and can block for ``block_s``.

    The socket's limit lies 10 s above the blocking read's: with the library's default, which
    equals the engine's, an idle worker's read times out first and its next job waits up to 17 s.
    """
    return Redis.from_url(
        url,
        decode_responses=True,
        socket_connect_timeout=2.0,
        socket_timeout=block_s + 10.0,
        retry=Retry(ExponentialBackoff(cap=1.0, base=0.05), 20),
        retry_on_error=_TRANSIENT,
        health_check_interval=0,
        # A blocking read holds its connection: none may be refused for the 100 that others hold.
        max_connections=_MOST_PATIENT_CONNECTIONS,
    )
