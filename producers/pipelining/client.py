"""The client: redis-py's, with the commands of all its callers on one link."""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any, cast

import hiredis
from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.connection import AbstractConnection

from producers.pipelining.link import ConnectionLostError, Link, NotWrittenError, may_have_run
from producers.pipelining.route import is_apart

_HOPELESS = (exceptions.AuthenticationError, exceptions.AuthorizationError)


class PipeliningRedis(Redis):
    """redis-py's client with its commands on one socket; the module's first lines say how it differs."""

    def __init__(self, *, max_in_flight: int = 1_000, max_bytes: int = 16 * 1024 * 1024, **options: Any) -> None:  # noqa: ANN401
        """Take redis-py's options and the bounds of what is under way at one time."""
        super().__init__(**options)
        # from_url gives every option to the pool, whose connections would not know these.
        given = self.connection_pool.connection_kwargs
        self._bounds: dict[str, int] = {
            "max_in_flight": given.pop("max_in_flight", max_in_flight),
            "max_bytes": given.pop("max_bytes", max_bytes),
        }
        self._link: Link | None = None
        self._connecting: asyncio.Task[Link] | None = None
        # Packs what hiredis does not take; it is never connected.
        self._packer: AbstractConnection = self.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        self._is_utf8 = self._packer.encoder.encoding.lower().replace("-", "") == "utf8"

    async def execute_command(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401
        """Send a command with this turn's others and give its reply.

        Raises:
            ConnectionLostError: the command may or may not have run.
            ConnectionError: there is no connection, and the command has not run. TimeoutError says the same.
        """
        if self.single_connection_client or is_apart(args, options):
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        name = args[0]
        if name == "CLIENT SETNAME":
            self.connection_pool.connection_kwargs["client_name"] = args[1]  # the next connections have it as well
        replies = await self.send_block(self.pack(args), 1)
        if not options and name not in self.response_callbacks and not isinstance(replies[0], Exception):
            return replies[0]
        return await self.parse_response(cast("Any", _Block(self, replies)), name, **options)

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> "PipeliningPipeline":  # noqa: FBT001, FBT002 - as redis-py
        """Give a pipeline whose commands go out as one block."""
        return PipeliningPipeline(self, transaction=transaction, shard_hint=shard_hint)

    async def aclose(self, close_connection_pool: bool | None = None) -> None:  # noqa: FBT001 - as redis-py
        """Wait for the replies that are owed and close every socket; the next command opens a new one."""
        if (connecting := self._connecting) is not None:
            # Awaited as well, for it may have connected already: whatever it has opened is closed below.
            connecting.cancel()
            await asyncio.wait({connecting})
            await asyncio.sleep(0)
        link, self._link = self._link, None
        if link is not None:
            await link.close()
        await super().aclose(close_connection_pool)

    def pack(self, args: tuple[Any, ...]) -> bytes:
        """Give a command as it goes over the wire."""
        name = args[0] if isinstance(args[0], str) else bytes(args[0]).decode()
        if " " in name:
            args = (*name.split(), *args[1:])
        if self._is_utf8:
            try:
                return cast("bytes", hiredis.pack_command(args))
            except TypeError:
                pass  # redis-py's encoder takes more types, and says what is wrong with the others
        return b"".join(self._packer.pack_command(*args))

    async def send_block(self, packed: bytes, count: int) -> list[Any]:
        """Send ``count`` packed commands with nobody else's among them and give the replies."""
        while True:
            link = self._link
            if link is None or link.broken:
                link = await self._next_link()
            try:
                return await link.call(packed, count)
            except NotWrittenError:
                continue

    async def _next_link(self) -> Link:
        # Callers share one attempt, and one that is cancelled does not end it for the others.
        if (task := self._connecting) is None:
            task = self._connecting = asyncio.create_task(self._connect())
            task.add_done_callback(self._connected)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise exceptions.ConnectionError("the client was closed while it was connecting") from None
            raise

    def _connected(self, task: asyncio.Task[Link]) -> None:
        self._connecting = None
        if not task.cancelled() and task.exception() is None:
            self._link = task.result()

    async def _connect(self) -> Link:
        """Let redis-py connect and shake hands (TLS, ACL user, database, names), then take its socket over."""
        connection: AbstractConnection = self.connection_pool.make_connection()  # type: ignore[no-untyped-call]

        async def attempt() -> Link:
            try:
                async with asyncio.timeout(connection.socket_connect_timeout):
                    await connection.connect_check_health(check_health=False, retry_socket_connect=False)
                    await connection.send_command("PING")  # a server that still loads its data says so here
                    await connection.read_response()
            except TimeoutError as error:
                raise exceptions.TimeoutError("the server did not take the connection in time") from error
            return Link(connection, **self._bounds)

        async def close(_error: Exception) -> None:
            await connection.disconnect(nowait=True)

        link = None
        try:
            link = await connection.retry.call_with_retry(
                attempt, close, is_retryable=lambda error: not isinstance(error, _HOPELESS)
            )
            return link
        finally:
            if link is None:
                await connection.disconnect(nowait=True)

    async def _close_connection(self, conn: Any, error: BaseException | None = None, *_: Any, **__: Any) -> None:  # noqa: ANN401
        # redis-py calls this between the tries of a pool's command, and there must be no second one.
        await _drop(conn, error)


class PipeliningPipeline(Pipeline):
    """redis-py's pipeline, sent as one block of the shared socket; after WATCH on a socket of its own."""

    def __init__(self, client: PipeliningRedis, *, transaction: bool, shard_hint: str | None) -> None:
        """Collect commands for ``client``."""
        super().__init__(client.connection_pool, client.response_callbacks, transaction, shard_hint)
        self._client = client

    async def execute(self, raise_on_error: bool = True) -> list[Any]:  # noqa: FBT001, FBT002 - as redis-py
        """Send what was collected and give the replies, as redis-py does."""
        try:
            stack = self.command_stack
            if self.connection or any(is_apart(args, options) for args, options in stack):
                return list(await super().execute(raise_on_error))
            if not stack:
                return []
            if self.scripts:
                await self.load_scripts()
            is_transaction = self.is_transaction or self.explicit_transaction
            run = self._execute_transaction if is_transaction else self._execute_pipeline
            return list(await run(cast("Any", _Block(self._client)), stack, raise_on_error))
        finally:
            await self.reset()  # type: ignore[no-untyped-call]

    async def load_scripts(self) -> None:
        """Make the server know the scripts: one that it does not know fails inside a transaction, alone."""
        scripts = list(self.scripts)
        known = await self._client.script_exists(*[script.sha for script in scripts])
        for script, is_known in zip(scripts, known, strict=True):
            if not is_known:
                script.sha = await self._client.script_load(script.script)

    async def _disconnect_raise_on_watching(self, conn: Any, error: Exception, *_: Any, **__: Any) -> None:  # noqa: ANN401
        self.watching = False  # the server has forgotten it with the connection
        await _drop(conn, error)

    _disconnect_reset_raise_on_watching = _disconnect_raise_on_watching


class _Block:
    """Stands where redis-py's code asks for a connection to send commands by and to read their replies from."""

    def __init__(self, client: PipeliningRedis, replies: Iterable[Any] = ()) -> None:
        self._client = client
        self._replies = deque(replies)
        self._count = 0

    def pack_commands(self, commands: Iterable[tuple[Any, ...]]) -> bytes:
        packed = [self._client.pack(args) for args in commands]
        self._count = len(packed)
        return b"".join(packed)

    async def send_packed_command(self, packed: bytes) -> None:
        self._replies.extend(await self._client.send_block(packed, self._count))

    async def read_response(self, **_: Any) -> Any:  # noqa: ANN401
        reply = self._replies.popleft()
        if isinstance(reply, Exception):
            raise reply
        return reply


async def _drop(connection: Any, error: BaseException | None) -> None:  # noqa: ANN401
    """Close a pool's connection, and tell its call what it must hear in place of another try."""
    await connection.disconnect(nowait=True)
    if isinstance(error, exceptions.BusyLoadingError):
        raise error  # the server answered: the command has not run
    if error is not None:
        raise ConnectionLostError(may_have_run(error)) from error
