"""The endpoints that tenants have registered, and their secrets.

``corral:<prefix>:endpoints:<tenant>``  hash: endpoint id to its record, JSON; its owner is the tenant, and it
                                        goes with the last endpoint
``corral:<prefix>:disabled:<tenant>``   hash: endpoint id to why nothing is sent to it, JSON; goes in the same way

So another tenant's endpoint is not there: no look-up can find it.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Self, cast
from urllib.parse import quote, unquote

from redis.asyncio import Redis
from ulid import ULID

from producers.callbacks.allow_list import AllowList
from producers.callbacks.endpoint_record import EndpointRecord, new_key
from producers.callbacks.seal import Seal
from producers.callbacks.signing_key import SigningKey
from producers.engine.jobs import answering
from schemas.endpoint import (
    Disabled,
    EndpointChange,
    EndpointRequest,
    EndpointSecret,
    EndpointStatus,
    NewEndpoint,
)
from schemas.errors import Permanent
from schemas.settings import CallbackSettings

_MOST = 100
_LONGEST_ID = 64
_REPLACE = """
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
"""


class EndpointMissing(Permanent):
    """This tenant has no such endpoint. Remedy: see ``GET /v1/endpoints``."""

    code = "endpoint_missing"


class EndpointLimitReached(Permanent):
    """The tenant has as many endpoints as it may. Remedy: delete one that is not used."""

    code = "endpoint_limit_reached"


@dataclass(frozen=True)
class Endpoints:
    """Keeps endpoints. Every method raises EngineUnavailable when the server does not answer."""

    redis: Redis
    prefix: str
    seal: Seal
    allow: AllowList
    clock: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

    @classmethod
    def of(cls, settings: CallbackSettings, redis: Redis) -> Self:
        """Keep them as the settings say.

        Raises:
            Misconfigured: a sealing key is no key, or an address that is allowed is no address.
        """
        return cls(redis, settings.queue_prefix, Seal.of(settings), AllowList.of(settings.callback_allow))

    async def add(self, tenant: str, request: EndpointRequest) -> NewEndpoint:
        """Register an endpoint; its secret is in this answer and in no other.

        Raises:
            AddressNotAllowed: the operator does not let this tenant call that address.
            EndpointLimitReached: the tenant has a hundred.
            SealingKeyMissing: its secret could not be kept.
        """
        self.allow.check(tenant, str(request.url))
        async with answering():
            if await self.redis.hlen(self._home(tenant)) >= _MOST:
                raise EndpointLimitReached(f"the tenant has {_MOST} endpoints; delete one that is not used")
        endpoint_id = f"ep_{str(ULID()).lower()}"
        key, stored = new_key(self.seal, tenant, endpoint_id, request.signature)
        record = EndpointRecord(
            id=endpoint_id, **request.model_dump(mode="json"), created_at=self.clock(), keys=(stored,)
        )
        async with answering():
            await self.redis.hset(self._home(tenant), endpoint_id, record.model_dump_json())
        return NewEndpoint(**record.status(None).model_dump(), secret=_shown(key))

    async def find(self, tenant: str, endpoint_id: str) -> EndpointRecord:
        """Give an endpoint's record.

        Raises:
            EndpointMissing: this tenant has none of that id.
        """
        return EndpointRecord.model_validate_json(await self._text(tenant, endpoint_id))

    async def get(self, tenant: str, endpoint_id: str) -> EndpointStatus:
        """Give an endpoint as it is now.

        Raises:
            EndpointMissing: this tenant has none of that id.
        """
        return (await self.find(tenant, endpoint_id)).status(await self.disabled(tenant, endpoint_id))

    async def all(self, tenant: str) -> list[EndpointStatus]:
        """Give the tenant's endpoints, the oldest first."""
        async with answering():
            found = await cast("Awaitable[dict[str, str]]", self.redis.hgetall(self._home(tenant)))
            why = await cast("Awaitable[dict[str, str]]", self.redis.hgetall(self._off(tenant)))
        off = {endpoint_id: Disabled.model_validate_json(text) for endpoint_id, text in why.items()}
        records = [EndpointRecord.model_validate_json(text) for _, text in sorted(found.items())]
        return [record.status(off.get(record.id)) for record in records]

    async def change(self, tenant: str, endpoint_id: str, change: EndpointChange) -> EndpointStatus:
        """Change what the request names; callbacks that wait go by what is new.

        Raises:
            EndpointMissing: this tenant has none of that id.
            AddressNotAllowed: the operator does not let this tenant call the new address.
        """
        wanted = change.model_dump(mode="json", exclude_unset=True)
        # Only the limit of rate can be lifted by null.
        wanted = {name: value for name, value in wanted.items() if value is not None or name == "rate_per_s"}
        if change.url is not None:
            self.allow.check(tenant, str(change.url))
        await self._replace(tenant, endpoint_id, lambda record: record.model_copy(update=wanted))
        return await self.get(tenant, endpoint_id)

    async def remove(self, tenant: str, endpoint_id: str) -> None:
        """Delete an endpoint; callbacks that wait for it fail.

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

    async def rotate(self, tenant: str, endpoint_id: str, overlap_s: float) -> EndpointSecret:
        """Give an endpoint a new secret; for ``overlap_s`` callbacks are signed by the former one as well.

        Raises:
            EndpointMissing: this tenant has none of that id.
            SealingKeyMissing: the new secret could not be kept.
        """
        until = self.clock() + timedelta(seconds=overlap_s)
        key, stored = new_key(self.seal, tenant, endpoint_id, (await self.find(tenant, endpoint_id)).signature)

        def rotated(record: EndpointRecord) -> EndpointRecord:
            # Two signatures at the most: a secret that is rotated twice in a row is not to be trusted any more.
            former = record.keys[0].model_copy(update={"until": until})
            return record.model_copy(update={"keys": (stored, *((former,) if overlap_s else ()))})

        await self._replace(tenant, endpoint_id, rotated)
        return EndpointSecret(secret=_shown(key), public_key=key.public, previous_until=until if overlap_s else None)

    async def reseal(self) -> int:
        """Seal every tenant's secrets under the newest key, so that older keys can go; tell how many were not.

        Raises:
            SealingKeyMissing: a secret's own key is not here.
        """
        home = f"corral:{self.prefix}:endpoints:"
        async with answering():
            tenants = [unquote(str(key).removeprefix(home)) async for key in self.redis.scan_iter(match=f"{home}*")]
        count = 0
        for tenant in tenants:
            async with answering():
                found = await cast("Awaitable[dict[str, str]]", self.redis.hgetall(self._home(tenant)))
            for endpoint_id, text in found.items():
                keys = EndpointRecord.model_validate_json(text).keys
                if stale := sum(not self.seal.is_newest(key.sealed) for key in keys):
                    count += stale
                    await self._replace(
                        tenant, endpoint_id, partial(EndpointRecord.resealed, seal=self.seal, tenant=tenant)
                    )
        return count

    def signing_keys(self, tenant: str, record: EndpointRecord) -> Sequence[SigningKey]:
        """Give the keys that sign for an endpoint now, the newest first.

        Raises:
            SealingKeyMissing: they were sealed under a key that is not here.
        """
        return record.signing_keys(self.seal, tenant, self.clock())

    async def disabled(self, tenant: str, endpoint_id: str) -> Disabled | None:
        """Tell why nothing is sent to an endpoint; None when it is enabled."""
        async with answering():
            text = await cast("Awaitable[str | None]", self.redis.hget(self._off(tenant), endpoint_id))
        return Disabled.model_validate_json(text) if text else None

    async def _replace(
        self, tenant: str, endpoint_id: str, changed: Callable[[EndpointRecord], EndpointRecord]
    ) -> None:
        # Two changes at once must not undo each other: the later one starts anew from what the other wrote.
        written = 0
        while not written:
            text = await self._text(tenant, endpoint_id)
            new = changed(EndpointRecord.model_validate_json(text)).model_dump_json()
            async with answering():
                keys = (self._home(tenant), endpoint_id, text, new)
                written = await cast("Awaitable[int]", self.redis.eval(_REPLACE, 1, *keys))

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


def _shown(key: SigningKey) -> str | None:
    # A private key has no business outside: its receiver needs the public one.
    return key.text if key.public is None else None


def _missing(endpoint_id: str) -> EndpointMissing:
    return EndpointMissing(f"there is no endpoint {endpoint_id[:_LONGEST_ID]!r}")
