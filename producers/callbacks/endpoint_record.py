"""An endpoint as it lies in the server."""

from datetime import datetime
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict

from producers.callbacks.gate import Target
from producers.callbacks.seal import Seal
from producers.callbacks.signing_key import SigningKey
from schemas.endpoint import Disabled, EndpointStatus, Signature
from schemas.envelope import EventType


class StoredKey(BaseModel):
    """A key as it lies in the server: sealed, with what may be known of it."""

    model_config = ConfigDict(frozen=True)

    sealed: str
    public_key: str | None = None
    until: datetime | None = None


class EndpointRecord(BaseModel):
    """An endpoint as it lies in the server. Of its keys the newest is the first."""

    model_config = ConfigDict(frozen=True)

    id: str
    url: str
    events: tuple[EventType, ...]
    description: str
    signature: Signature
    concurrency: int
    rate_per_s: float | None
    created_at: datetime
    keys: tuple[StoredKey, ...]

    def status(self, disabled: Disabled | None) -> EndpointStatus:
        """Give what its owner may see."""
        facts = self.model_dump(exclude={"keys"})
        return EndpointStatus(**facts, public_key=self.keys[0].public_key, disabled=disabled)

    def target(self, tenant: str) -> Target:
        """Give what limits and breaker go by."""
        return Target(tenant, self.id, self.concurrency, self.rate_per_s)

    def signing_keys(self, seal: Seal, tenant: str, now: datetime) -> list[SigningKey]:
        """Give the keys that sign at a moment, the newest first.

        Raises:
            SealingKeyMissing: they were sealed under a key that is not here.
        """
        of = _place(tenant, self.id)
        live = [key for key in self.keys if key.until is None or key.until > now]
        return [SigningKey.parse(seal.open(key.sealed, of=of)) for key in live]

    def resealed(self, *, seal: Seal, tenant: str) -> "EndpointRecord":
        """Give the same with its keys sealed under the newest key.

        Raises:
            SealingKeyMissing: they were sealed under a key that is not here.
        """
        of = _place(tenant, self.id)
        keys = [key.model_copy(update={"sealed": seal.seal(seal.open(key.sealed, of=of), of=of)}) for key in self.keys]
        return self.model_copy(update={"keys": tuple(keys)})


def new_key(seal: Seal, tenant: str, endpoint_id: str, signature: Signature) -> tuple[SigningKey, StoredKey]:
    """Make a key for an endpoint.

    Raises:
        SealingKeyMissing: it could not be sealed.
    """
    key = SigningKey.new(signature)
    return key, StoredKey(sealed=seal.seal(key.text, of=_place(tenant, endpoint_id)), public_key=key.public)


def _place(tenant: str, endpoint_id: str) -> str:
    return f"{quote(tenant, safe='')}/{endpoint_id}"
