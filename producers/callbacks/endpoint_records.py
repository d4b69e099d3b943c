"""Where endpoints lie in the server: the records of all tenants, and why nothing is sent to some.

``corral:<prefix>:endpoints:<tenant>``  hash: endpoint id to its record, JSON; its owner is the tenant, and it
                                        goes with the last endpoint
``corral:<prefix>:disabled:<tenant>``   hash: endpoint id to why nothing is sent to it, JSON; goes in the same way

So another tenant's endpoint is not there: no look-up can find it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import cast
from urllib.parse import quote, unquote

from redis.asyncio import Redis

from producers.callbacks.endpoint_record import EndpointRecord
from producers.engine.jobs import answering
from schemas.endpoint import Disabled
from schemas.errors import Permanent

_LONGEST_ID = 64
_REPLACE = """
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
"""


class EndpointMissing(Permanent):
    """This tenant has no such endpoint. Remedy: see ``GET /v1/endpoints``."""

    code = "endpoint_missing"


@dataclass(frozen=True)
class EndpointRecords:
    """Reads and writes. Every method raises EngineUnavailable when the server does not answer."""

    redis: Redis
    prefix: str

    async def tenants(self) -> list[str]:
        """Give every tenant that has an endpoint."""
        home = f"corral:{self.prefix}:endpoints:"
        async with answering():
            return [unquote(str(key).removeprefix(home)) async for key in self.redis.scan_iter(match=f"{home}*")]

    async def find(self, tenant: str, endpoint_id: str) -> EndpointRecord:
        """Give one record.

        Raises:
            EndpointMissing: this tenant has none of that id.
        """
        return EndpointRecord.model_validate_json(await self._text(tenant, endpoint_id))

    async def all(self, tenant: str) -> list[EndpointRecord]:
        """Give a tenant's records, the oldest first."""
        async with answering():
            found = await cast("Awaitable[dict[str, str]]", self.redis.hgetall(self._home(tenant)))
        return [EndpointRecord.model_validate_json(text) for _, text in sorted(found.items())]

    async def count(self, tenant: str) -> int:
        """Tell how many endpoints a tenant has."""
        async with answering():
            return int(await self.redis.hlen(self._home(tenant)))

    async def put(self, tenant: str, record: EndpointRecord) -> None:
        """Write a new record."""
        async with answering():
            await self.redis.hset(self._home(tenant), record.id, record.model_dump_json())

    async def replace(self, tenant: str, endpoint_id: str, changed: Callable[[EndpointRecord], EndpointRecord]) -> None:
        """Change a record. Two changes at once do not undo each other: the later starts from what the other wrote.

        Raises:
            EndpointMissing: this tenant has none of that id.
        """
        written = 0
        while not written:
            text = await self._text(tenant, endpoint_id)
            new = changed(EndpointRecord.model_validate_json(text)).model_dump_json()
            async with answering():
                given = (self._home(tenant), endpoint_id, text, new)
                written = await cast("Awaitable[int]", self.redis.eval(_REPLACE, 1, *given))

    async def remove(self, tenant: str, endpoint_id: str) -> None:
        """Delete a record; callbacks that wait for it fail.

        Raises:
            EndpointMissing: this tenant has none of that id.
        """
        async with answering():
            pipe = self.redis.pipeline(transaction=True)
            pipe.hdel(self._home(tenant), endpoint_id)
            pipe.hdel(self._off(tenant), endpoint_id)
            removed, _ = await pipe.execute()
        if not removed:
            raise _missing(endpoint_id)

    async def disabled(self, tenant: str) -> dict[str, Disabled]:
        """Give why nothing is sent to some endpoints and origins, by their ids."""
        async with answering():
            found = await cast("Awaitable[dict[str, str]]", self.redis.hgetall(self._off(tenant)))
        return {endpoint_id: Disabled.model_validate_json(text) for endpoint_id, text in found.items()}

    async def _text(self, tenant: str, endpoint_id: str) -> str:
        async with answering():
            text = await cast("Awaitable[str | None]", self.redis.hget(self._home(tenant), endpoint_id))
        if text is None:
            raise _missing(endpoint_id)
        return text

    def _home(self, tenant: str) -> str:
        return f"corral:{self.prefix}:endpoints:{quote(tenant, safe='')}"

    def _off(self, tenant: str) -> str:
        return f"corral:{self.prefix}:disabled:{quote(tenant, safe='')}"


def _missing(endpoint_id: str) -> EndpointMissing:
    return EndpointMissing(f"there is no endpoint {endpoint_id[:_LONGEST_ID]!r}")
