"""Fills the port ``CallbackSender``."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from pydantic import SecretStr

from producers.callbacks.allow_list import AddressNotAllowed
from producers.callbacks.endpoints import EndpointMissing, Endpoints
from producers.callbacks.seal import SealingKeyMissing
from producers.callbacks.signing_key import SigningKey
from schemas.callback_attempt import CallbackAttempt
from schemas.errors import CallbackRefused, CallbackRejected, Misconfigured
from worker.ports import CallbackSender, Notice, Receipt

Post = Callable[[str, Sequence[SigningKey], str, bytes], Awaitable[CallbackAttempt]]


def signing_keys(secret: SecretStr | None) -> list[SigningKey]:
    """Give what signs callbacks to a plain URL, the newest first; several secrets have a space between.

    Raises:
        Misconfigured: the secret is missing, or one of them is no secret.
    """
    if secret is None:
        raise Misconfigured("CORRAL_CALLBACK_SECRET is missing; `corral secret` makes one")
    texts = secret.get_secret_value().split() or [""]
    try:
        return [SigningKey.parse(text) for text in texts]
    except ValueError as error:
        # Its verifiers refuse what is not of the sizes that Standard Webhooks 1.0.0 demands.
        raise Misconfigured(f"CORRAL_CALLBACK_SECRET is {error}; `corral secret` makes one") from None


@dataclass(frozen=True)
class Target:
    """Where a callback goes, and by which keys it is signed."""

    url: str
    keys: Sequence[SigningKey]
    events: Sequence[str] | None = None


class EndpointCallbackSender(CallbackSender):
    """Sends to registered endpoints with their own keys, and to plain addresses with the operator's."""

    def __init__(self, post: Post, keys: Sequence[SigningKey], endpoints: Endpoints) -> None:
        """Send by ``post``; ``keys`` sign what goes to a plain address."""
        self._post = post
        self._keys = keys
        self._endpoints = endpoints

    async def send(self, notice: Notice) -> Receipt | None:
        """POST once; see the port."""
        target = await self._target(notice)
        if target.events is not None and not notice.on_request and notice.event not in target.events:
            return None
        told = await self._post(target.url, target.keys, notice.id, notice.body)
        return _receipt(told)

    async def _target(self, notice: Notice) -> Target:
        callback = notice.callback
        try:
            if callback.endpoint is None:
                url = str(callback.url)
                # Whoever adds jobs past the API has been asked by nobody yet.
                self._endpoints.allow.check(notice.tenant, url)
                return Target(url, self._keys)
            record = await self._endpoints.find(notice.tenant, callback.endpoint)
            return Target(record.url, self._endpoints.signing_keys(notice.tenant, record), record.events)
        except (AddressNotAllowed, EndpointMissing) as error:
            raise CallbackRefused(str(error)) from error
        except SealingKeyMissing as error:
            raise CallbackRejected(str(error)) from error


def _receipt(told: CallbackAttempt) -> Receipt:
    if told.error is None and told.status is not None:
        return Receipt(told.status, told.latency_s)
    message = told.error.message if told.error else "the receiver did not answer"
    if told.error and told.error.code == CallbackRefused.code:
        raise CallbackRefused(message)
    raise CallbackRejected(message, retry_after_s=told.retry_after_s)
