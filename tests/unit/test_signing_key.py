"""Keys that sign callbacks: what Standard Webhooks 1.0.0 asks of them, and what verifies their signatures."""

import base64
from datetime import UTC, datetime

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import SecretStr
from standardwebhooks.webhooks import Webhook

from producers.callbacks.signing_key import Signature, SigningKey, signature_base, signed_headers
from schemas.errors import Misconfigured
from worker.adapters.endpoint_callback_sender import signing_keys

BODY = '{"text":"é"}'.encode()


def written(prefix: str, size_bytes: int) -> str:
    """Write so many bytes as a key."""
    return f"{prefix}_{base64.b64encode(bytes(size_bytes)).decode()}"


NO_KEYS = {
    "nothing": "",
    "no prefix": base64.b64encode(bytes(32)).decode(),
    "a prefix alone": "whsec_",
    "no base64": "whsec_not/base64!",
    "too short": written("whsec", 23),
    "too long": written("whsec", 65),
    "a public key": written("whpk", 32),
    "half a key of ed25519": written("whsk", 31),
    "halves of two keys": written("whsk", 64),
}


@pytest.mark.parametrize("size_bytes", [24, 32, 64])
def test_a_secret_of_the_standards_sizes_signs(size_bytes: int) -> None:
    """Both ends of the range are in it, and the standard's own library verifies."""
    text = written("whsec", size_bytes)
    headers = signed_headers([SigningKey.parse(text)], "msg_1", datetime.now(UTC), BODY)
    assert Webhook(text).verify(BODY, headers) == {"text": "é"}
    assert SigningKey.parse(text).text == text


def test_a_private_key_signs_what_its_public_key_verifies() -> None:
    """``v1a`` over the same base as ``v1``; one changed byte is noticed."""
    key, at = SigningKey.new("ed25519"), datetime.now(UTC)
    assert key.public is not None
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key.public.removeprefix("whpk_")))
    version, _, signature = key.sign("msg_1", at, BODY).partition(",")
    assert version == "v1a"
    public.verify(base64.b64decode(signature), f"msg_1.{int(at.timestamp())}.".encode() + BODY)
    with pytest.raises(InvalidSignature):
        public.verify(base64.b64decode(signature), signature_base("msg_2", at, BODY))


def test_a_private_key_may_have_its_public_half_with_it() -> None:
    """As libsodium writes it; both texts are the same key."""
    key = SigningKey.new("ed25519")
    assert key.public is not None
    halves = base64.b64decode(key.text.removeprefix("whsk_")) + base64.b64decode(key.public.removeprefix("whpk_"))
    assert SigningKey.parse(f"whsk_{base64.b64encode(halves).decode()}") == key


def test_while_a_secret_is_rotated_both_verify() -> None:
    """Two signatures with a space between; a library of the standard takes the one that it knows."""
    keys = [SigningKey.new("ed25519"), SigningKey.new("hmac-sha256"), SigningKey.new("hmac-sha256")]
    headers = signed_headers(keys, "msg_1", datetime.now(UTC), BODY)
    assert [one.partition(",")[0] for one in headers["webhook-signature"].split(" ")] == ["v1a", "v1", "v1"]
    for key in keys[1:]:
        Webhook(key.text).verify(BODY, headers)


@pytest.mark.parametrize("text", NO_KEYS.values(), ids=NO_KEYS)
def test_what_is_no_key_is_refused_without_being_shown(text: str) -> None:
    """For the operator's secret the error names the setting and the remedy."""
    with pytest.raises(Misconfigured, match=r"CORRAL_CALLBACK_SECRET is not .*`corral secret` makes one") as caught:
        signing_keys(SecretStr(text))
    encoded = text.rpartition("_")[2]
    assert len(encoded) < 8 or encoded not in str(caught.value)


def test_a_worker_without_a_secret_does_not_start() -> None:
    """A callback that nobody can verify is worth nothing."""
    with pytest.raises(Misconfigured, match="CORRAL_CALLBACK_SECRET is missing"):
        signing_keys(None)


@pytest.mark.parametrize("signature", ["hmac-sha256", "ed25519"])
def test_a_key_does_not_show_itself(signature: Signature) -> None:
    """It may end up in a trace."""
    key = SigningKey.new(signature)
    assert repr(key) == f"SigningKey(signature='{signature}')"
    assert SigningKey.parse(key.text) == key
