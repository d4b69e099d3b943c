"""The keys that sign callbacks, as Standard Webhooks 1.0.0 writes them down.

``whsec_`` and base64 of 24 to 64 bytes signs by HMAC-SHA256 (``v1``): its receiver verifies with the same
secret. ``whsk_`` and base64 of an ed25519 key, 32 bytes or 64 with its public half, signs by ed25519
(``v1a``): its receiver verifies with the public key, ``whpk_`` and base64 of 32 bytes.
"""

import base64
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Self

from standardwebhooks.webhooks import Webhook

from schemas.endpoint import Signature

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["Signature", "SigningKey", "signature_base", "signed_headers"]

_SHARED, _PRIVATE, _PUBLIC = "whsec", "whsk", "whpk"
_SHARED_BYTES = range(24, 65)
_NEW_BYTES = 32
# The seed alone, or as libsodium has it: the seed and the public key after it.
_SEED_BYTES = 32
_PRIVATE_BYTES = (32, 64)


@dataclass(frozen=True)
class SigningKey:
    """One key. Its text is a secret, so it is not shown by ``repr``."""

    signature: Signature
    _bytes: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a key.

        Raises:
            ValueError: it is neither kind of key; the message has nothing of it.
        """
        prefix, _, encoded = text.partition("_")
        try:
            key = base64.b64decode(encoded, validate=True)
        except ValueError:
            key = b""
        if prefix == _SHARED and len(key) in _SHARED_BYTES:
            return cls("hmac-sha256", key)
        if prefix == _PRIVATE and len(key) in _PRIVATE_BYTES:
            if len(key) > _SEED_BYTES and key[_SEED_BYTES:] != _public(key[:_SEED_BYTES]):
                raise ValueError("not a key of ed25519: its two halves do not belong together")
            return cls("ed25519", key[:_SEED_BYTES])
        raise ValueError("not whsec_ and base64 of 24 to 64 bytes, nor whsk_ and base64 of an ed25519 key")

    @classmethod
    def new(cls, signature: Signature) -> Self:
        """Make a key of 32 random bytes."""
        return cls(signature, secrets.token_bytes(_NEW_BYTES))

    @property
    def text(self) -> str:
        """The key as it is stored and given to a receiver: a secret."""
        return _written(_SHARED if self.signature == "hmac-sha256" else _PRIVATE, self._bytes)

    @property
    def public(self) -> str | None:
        """What verifies signatures and may be known to anybody; None for HMAC, which has no such thing."""
        return None if self.signature == "hmac-sha256" else _written(_PUBLIC, _public(self._bytes))

    def sign(self, webhook_id: str, at: datetime, body: bytes) -> str:
        """Give one signature with its version, ``v1,...`` or ``v1a,...``."""
        if self.signature == "hmac-sha256":
            return str(Webhook(self._bytes).sign(webhook_id, at, body.decode()))
        signed = _private(self._bytes).sign(signature_base(webhook_id, at, body))
        return f"v1a,{base64.b64encode(signed).decode()}"


def signature_base(webhook_id: str, at: datetime, body: bytes) -> bytes:
    """Give what is signed: id, time of the attempt in whole seconds, and body."""
    return f"{webhook_id}.{int(at.timestamp())}.".encode() + body


def signed_headers(keys: Iterable[SigningKey], webhook_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """Give the headers of Standard Webhooks; while a secret is being rotated there are two signatures."""
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(key.sign(webhook_id, at, body) for key in keys),
    }


def _public(seed: bytes) -> bytes:
    return _private(seed).public_key().public_bytes_raw()


def _private(seed: bytes) -> "Ed25519PrivateKey":
    # Imported by who has such a key: the library takes 8 MB, and most sign by HMAC.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

    return Ed25519PrivateKey.from_private_bytes(seed)


def _written(prefix: str, key: bytes) -> str:
    return f"{prefix}_{base64.b64encode(key).decode()}"
