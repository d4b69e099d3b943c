"""Fills the port ``CallbackSender``."""

from collections.abc import Awaitable, Callable, Sequence

from pydantic import SecretStr

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


class EndpointCallbackSender(CallbackSender):
    """Signs with the operator's keys and POSTs."""

    def __init__(self, post: Post, keys: Sequence[SigningKey]) -> None:
        """Send by ``post``, signed by ``keys``."""
        self._post = post
        self._keys = keys

    async def send(self, notice: Notice) -> Receipt:
        """POST once; see the port."""
        told = await self._post(str(notice.callback.url), self._keys, notice.id, notice.body)
        if told.error is None and told.status is not None:
            return Receipt(told.status, told.latency_s)
        message = told.error.message if told.error else "the receiver did not answer"
        if told.error and told.error.code == CallbackRefused.code:
            raise CallbackRefused(message)
        raise CallbackRejected(message, retry_after_s=told.retry_after_s)
