"""How a secret lies in the server: encrypted by AES-GCM, under keys that only processes of Corral have.

A sealed secret is ``<key's name>.<nonce>.<ciphertext>``, the last two in base64. What it belongs to is
authenticated with it, so that nobody can put it in another place.
"""

import base64
import hashlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from schemas.errors import Misconfigured, Retryable
from schemas.settings import CallbackSettings

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_KEY_BYTES = 32
_NONCE_BYTES = 12
_NAME_CHARS = 8


class SealingKeyMissing(Retryable):
    """The process has no key for the secrets of endpoints. Remedy: the operator sets ``CORRAL_SEALING_KEYS``."""

    code = "sealing_key_missing"


@dataclass(frozen=True, repr=False)
class Seal:
    """Seals under the newest key, opens under each; keys by name, the newest first."""

    keys: dict[str, bytes]

    @classmethod
    def of(cls, settings: CallbackSettings) -> Self:
        """Take the keys of the settings. Without one only what needs one fails.

        Raises:
            Misconfigured: one of them is no key, or the file cannot be read.
        """
        texts = settings.sealing_keys.get_secret_value() if settings.sealing_keys else ""
        if path := settings.sealing_keys_file:
            try:
                texts += f" {path.read_text()}"
            except OSError as error:
                raise Misconfigured(f"CORRAL_SEALING_KEYS_FILE cannot be read ({type(error).__name__})") from error
        keys = [_key(text) for text in texts.split()]
        return cls({hashlib.sha256(key).hexdigest()[:_NAME_CHARS]: key for key in keys})

    def seal(self, secret: str, *, of: str) -> str:
        """Encrypt a secret of ``of``.

        Raises:
            SealingKeyMissing: there is no key.
        """
        if not self.keys:
            raise SealingKeyMissing("endpoints cannot be kept here: the operator must set CORRAL_SEALING_KEYS")
        name, key = next(iter(self.keys.items()))
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = _cipher(key).encrypt(nonce, secret.encode(), of.encode())
        return ".".join([name, base64.b64encode(nonce).decode(), base64.b64encode(sealed).decode()])

    def open(self, sealed: str, *, of: str) -> str:
        """Decrypt what ``seal`` gave.

        Raises:
            SealingKeyMissing: it was sealed under a key that is not here, or it is not what was sealed.
        """
        name, nonce, text = sealed.split(".")
        opened = self._opened(name, base64.b64decode(nonce), base64.b64decode(text), of.encode())
        if opened is None:
            raise SealingKeyMissing(f"the secret was sealed under the key {name}: add it to CORRAL_SEALING_KEYS")
        return opened.decode()

    def _opened(self, name: str, nonce: bytes, sealed: bytes, of: bytes) -> bytes | None:
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - as below

        try:
            return _cipher(self.keys[name]).decrypt(nonce, sealed, of)
        except (KeyError, InvalidTag):
            return None

    def is_newest(self, sealed: str) -> bool:
        """Tell whether a secret is sealed under the key that seals now."""
        return sealed.partition(".")[0] == next(iter(self.keys), None)


def new_key() -> str:
    """Make a key: base64 of 32 random bytes."""
    return base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()


def _cipher(key: bytes) -> "AESGCM":
    # Imported by who has a secret to open: the library takes 8 MB.
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

    return AESGCM(key)


def _key(text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise Misconfigured(
            "CORRAL_SEALING_KEYS has what is not base64 of 32 bytes; `corral secret --sealing` makes one"
        )
    return key
