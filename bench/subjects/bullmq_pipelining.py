"""Stock bullmq for Python on Corral's pipelining connection: what the connection alone is worth."""

from bench.subjects import bullmq_py
from bench.subjects.harness import Config, main
from producers.pipelining import PipeliningRedis


def connection(config: Config) -> PipeliningRedis:
    """Give the package our client."""
    return PipeliningRedis.from_url(config.url, decode_responses=True, socket_timeout=15)  # type: ignore[return-value]


if __name__ == "__main__":
    bullmq_py.connection = connection
    main(bullmq_py.producer, bullmq_py.work)
