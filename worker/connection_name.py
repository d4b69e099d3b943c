"""The name of a worker's connection: by it Node's ``getWorkers`` and dashboards know that there is a worker."""

from base64 import b64encode

from redis.asyncio import Redis


def of_worker(prefix: str, queue: str, name: str) -> str:
    """Give the name that Node looks for: its own workers bear the same."""
    return f"{prefix}:{b64encode(queue.encode()).decode()}:w:{name}"


async def give(redis: Redis, name: str) -> None:
    """Name one connection of a client's pool, for as long as there is the pool.

    One and no more, for each connection of the name counts as a worker. It lies in the connection itself,
    so the name is back when a broken one is opened again.
    """
    connection = await redis.connection_pool.get_connection()  # type: ignore[no-untyped-call]  # redis-py's
    try:
        connection.client_name = name
        await connection.send_command("CLIENT", "SETNAME", name)
        await connection.read_response()
    finally:
        await redis.connection_pool.release(connection)
