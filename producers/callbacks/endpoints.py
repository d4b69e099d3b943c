"""The endpoints that tenants have registered: who may register which, and their secrets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Self

from redis.asyncio import Redis
from ulid import ULID

from producers.callbacks.allow_list import AllowList
from producers.callbacks.endpoint_record import EndpointRecord, new_key
from producers.callbacks.endpoint_records import EndpointMissing, EndpointRecords
from producers.callbacks.gate import Target
from producers.callbacks.seal import Seal
from producers.callbacks.signing_key import SigningKey
from schemas.endpoint import (
    DisabledOrigin,
    EndpointChange,
    EndpointRequest,
    EndpointSecret,
    EndpointStatus,
    NewEndpoint,
)
from schemas.errors import Permanent
from schemas.settings import CallbackSettings

__all__ = ["EndpointLimitReached", "EndpointMissing", "Endpoints"]

_MOST = 100


class EndpointLimitReached(Permanent):
    """The tenant has as many endpoints as it may. Remedy: delete one that is not used."""

    code = "endpoint_limit_reached"


@dataclass(frozen=True)
class Endpoints:
    """Keeps endpoints.

    Every method raises EngineUnavailable when the server does not answer, and one that names an endpoint
    raises EndpointMissing when the tenant has none of that id.
    """

    records: EndpointRecords
    seal: Seal
    allow: AllowList
    clock: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

    @classmethod
    def of(cls, settings: CallbackSettings, redis: Redis) -> Self:
        """Keep them as the settings say.

        Raises:
            Misconfigured: a sealing key is no key, or an address that is allowed is no address.
        """
        records = EndpointRecords(redis, settings.queue_prefix)
        return cls(records, Seal.of(settings), AllowList.of(settings.callback_allow))

    async def add(self, tenant: str, request: EndpointRequest) -> NewEndpoint:
        """Register an endpoint; its secret is in this answer and in no other.

        Raises:
            AddressNotAllowed: the operator does not let this tenant call that address.
            EndpointLimitReached: the tenant has a hundred.
            SealingKeyMissing: its secret could not be kept.
        """
        self.allow.check(tenant, str(request.url))
        if await self.records.count(tenant) >= _MOST:
            raise EndpointLimitReached(f"the tenant has {_MOST} endpoints; delete one that is not used")
        endpoint_id = f"ep_{str(ULID()).lower()}"
        key, stored = new_key(self.seal, tenant, endpoint_id, request.signature)
        facts = request.model_dump(mode="json")
        record = EndpointRecord(id=endpoint_id, **facts, created_at=self.clock(), keys=(stored,))
        await self.records.put(tenant, record)
        return NewEndpoint(**record.status(None).model_dump(), secret=_shown(key))

    async def get(self, tenant: str, endpoint_id: str) -> EndpointStatus:
        """Give an endpoint as it is now."""
        record = await self.records.find(tenant, endpoint_id)
        return record.status((await self.records.disabled(tenant)).get(endpoint_id))

    async def all(self, tenant: str) -> list[EndpointStatus]:
        """Give the tenant's endpoints, the oldest first."""
        off = await self.records.disabled(tenant)
        return [record.status(off.get(record.id)) for record in await self.records.all(tenant)]

    async def origins(self, tenant: str) -> list[DisabledOrigin]:
        """Give the origins of plain addresses to which nothing is sent."""
        off = (await self.records.disabled(tenant)).items()
        return [DisabledOrigin(id=one, origin=why.origin, disabled=why) for one, why in sorted(off) if why.origin]

    async def target(self, tenant: str, endpoint_id: str) -> Target:
        """Give what limits and breaker go by, of an endpoint or of a disabled origin."""
        why = (await self.records.disabled(tenant)).get(endpoint_id)
        if why is not None and why.origin:
            return Target(tenant, endpoint_id, origin=why.origin)
        return (await self.records.find(tenant, endpoint_id)).target(tenant)

    async def change(self, tenant: str, endpoint_id: str, change: EndpointChange) -> EndpointStatus:
        """Change what the request names; callbacks that wait go by what is new.

        Raises:
            AddressNotAllowed: the operator does not let this tenant call the new address.
        """
        wanted = change.model_dump(mode="json", exclude_unset=True)
        # Only the limit of rate can be lifted by null.
        wanted = {name: value for name, value in wanted.items() if value is not None or name == "rate_per_s"}
        if change.url is not None:
            self.allow.check(tenant, str(change.url))
        await self.records.replace(tenant, endpoint_id, lambda record: record.model_copy(update=wanted))
        return await self.get(tenant, endpoint_id)

    async def rotate(self, tenant: str, endpoint_id: str, overlap_s: float) -> EndpointSecret:
        """Give an endpoint a new secret; for ``overlap_s`` callbacks are signed by the former one as well.

        Raises:
            SealingKeyMissing: the new secret could not be kept.
        """
        until = self.clock() + timedelta(seconds=overlap_s)
        signature = (await self.records.find(tenant, endpoint_id)).signature
        key, stored = new_key(self.seal, tenant, endpoint_id, signature)

        def rotated(record: EndpointRecord) -> EndpointRecord:
            # Two signatures at the most: a secret that is rotated twice in a row is not to be trusted any more.
            former = record.keys[0].model_copy(update={"until": until})
            return record.model_copy(update={"keys": (stored, *((former,) if overlap_s else ()))})

        await self.records.replace(tenant, endpoint_id, rotated)
        return EndpointSecret(secret=_shown(key), public_key=key.public, previous_until=until if overlap_s else None)

    async def reseal(self) -> int:
        """Seal every tenant's secrets under the newest key, so that older keys can go; tell how many were not.

        Raises:
            SealingKeyMissing: a secret's own key is not here.
        """
        count = 0
        for tenant in await self.records.tenants():
            for record in await self.records.all(tenant):
                if stale := sum(not self.seal.is_newest(key.sealed) for key in record.keys):
                    count += stale
                    resealed = partial(EndpointRecord.resealed, seal=self.seal, tenant=tenant)
                    await self.records.replace(tenant, record.id, resealed)
        return count

    def signing_keys(self, tenant: str, record: EndpointRecord) -> Sequence[SigningKey]:
        """Give the keys that sign for an endpoint now, the newest first.

        Raises:
            SealingKeyMissing: they were sealed under a key that is not here.
        """
        return record.signing_keys(self.seal, tenant, self.clock())


def _shown(key: SigningKey) -> str | None:
    # A private key has no business outside: its receiver needs the public one.
    return key.text if key.public is None else None
