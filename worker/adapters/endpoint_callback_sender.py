"""Fills the port ``CallbackSender``."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Self

import structlog
from pydantic import SecretStr
from redis.asyncio import Redis

from producers.audit import Audit
from producers.callbacks.allow_list import AddressNotAllowed
from producers.callbacks.endpoints import EndpointMissing, Endpoints
from producers.callbacks.gate import Change, Gate, Parked, Pass, Reason
from producers.callbacks.history import History
from producers.callbacks.seal import SealingKeyMissing
from producers.callbacks.signing_key import SigningKey
from producers.listening import Listening
from schemas.callback_attempt import CallbackAttempt, CallbackParked, EndpointDisabled
from schemas.errors import (
    CallbackRefused,
    CallbackRejected,
    CorralError,
    EngineUnavailable,
    Misconfigured,
)
from schemas.sent_callback import SentCallback
from schemas.settings import CallbackSettings
from worker import callback_outcome as outcome
from worker.callback_outcome import Destination
from worker.ports import CallbackSender, Notice, Receipt

log = structlog.get_logger()

_LONGEST_PARKED_S = 30 * 24 * 3600
_WHY: dict[Reason, str] = {
    "disabled": "the endpoint is disabled; enable it to have its callbacks sent",
    "open": "the endpoint has failed too often; it is probed now and then",
    "throttled": "the endpoint has asked for a pause",
    "busy": "the endpoint has as many callbacks at once as it may",
    "rate": "the endpoint has as many callbacks a second as it may",
}
Tell = Callable[[SentCallback], Awaitable[None]]
Post = Callable[[str, Sequence[SigningKey], str, bytes, Tell], Awaitable[CallbackAttempt]]


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
class Desk:
    """What is kept in the server about callbacks and their receivers."""

    endpoints: Endpoints
    gate: Gate
    history: History
    audit: Audit
    listening: Listening

    @classmethod
    def of(cls, settings: CallbackSettings, redis: Redis) -> Self:
        """Keep it as the settings say.

        Raises:
            Misconfigured: a sealing key is no key, or an address that is allowed is no address.
        """
        prefix = settings.queue_prefix
        endpoints = Endpoints.of(settings, redis)
        return cls(
            endpoints,
            Gate(redis, prefix=prefix),
            History.of(settings, redis),
            Audit(redis, prefix=prefix),
            Listening(redis, prefix=prefix),
        )


class EndpointCallbackSender(CallbackSender):
    """Sends to registered endpoints with their own keys, and to plain addresses with the operator's."""

    def __init__(self, post: Post, keys: Sequence[SigningKey], desk: Desk) -> None:
        """Send by ``post``; ``keys`` sign what goes to a plain address."""
        self._post = post
        self._keys = keys
        self._desk = desk

    async def send(self, notice: Notice) -> Receipt | None:
        """POST once, when the endpoint takes it now; see the port."""
        to = await self._destination(notice)
        if to.events is not None and not notice.on_request and notice.event not in to.events:
            return None
        found = await self._desk.gate.enter(to.target, notice.carrier_id, notice.at, on_request=notice.on_request)
        if isinstance(found, Parked):
            raise await self._parked(notice, to, found)
        told = await self._post(
            to.url, to.keys, notice.id, notice.body, partial(self._desk.listening.tell, notice.tenant)
        )
        told = told.model_copy(update={"on_request": notice.on_request})
        if told.status is not None and told.error is None:
            # It has arrived, whether we can write that down or not: never a reason to send it again.
            with suppress(EngineUnavailable):
                await self._delivered(notice, to, found, told)
            return Receipt(told.status, told.latency_s)
        raise await self._failed(notice, to, found, told)

    async def _destination(self, notice: Notice) -> Destination:
        to, endpoints = outcome.named(notice, self._keys), self._desk.endpoints
        try:
            if notice.callback.endpoint is not None:
                record = await endpoints.records.find(notice.tenant, notice.callback.endpoint)
                to = Destination(record.url, record.target(notice.tenant), (), record.events)
                to = replace(to, keys=endpoints.signing_keys(notice.tenant, record))
            # Whoever adds jobs past the API has been asked by nobody yet, and a list may have changed since.
            endpoints.allow.check(notice.tenant, to.url)
        except (AddressNotAllowed, EndpointMissing) as error:
            raise await self._unsent(notice, to, CallbackRefused(str(error))) from error
        except SealingKeyMissing as error:
            raise await self._unsent(notice, to, CallbackRejected(str(error))) from error
        return to

    async def _unsent(self, notice: Notice, to: Destination, error: CorralError) -> CorralError:
        """Write down, as an attempt, why nothing was sent."""
        now, why = datetime.now(UTC), error.public()
        told = CallbackAttempt(at=now, url=to.url, latency_s=0, error=why, on_request=notice.on_request)
        await self._desk.history.note(notice.tenant, outcome.status(notice, to, told, error), told)
        return error

    async def _parked(self, notice: Notice, to: Destination, found: Parked) -> CorralError:
        if (datetime.now(UTC) - notice.at).total_seconds() > _LONGEST_PARKED_S:
            error = CallbackRefused("its endpoint took nothing for 30 days; enable it, and replay the callback")
            return await self._unsent(notice, to, error)
        parked = CallbackParked(_WHY[found.reason], retry_after_s=found.delay_s)
        if found.reason in {"disabled", "open"}:
            await self._desk.history.note(notice.tenant, outcome.status(notice, to, None, parked), None)
        return parked

    async def _delivered(self, notice: Notice, to: Destination, given: Pass, told: CallbackAttempt) -> None:
        change, _ = await asyncio.gather(
            self._desk.gate.leave(to.target, outcome.sent(notice, to, given, told)),
            self._desk.history.note(notice.tenant, outcome.status(notice, to, told, None), told),
        )
        await self._tell(change, to)

    async def _failed(self, notice: Notice, to: Destination, given: Pass, told: CallbackAttempt) -> CorralError:
        """Write down what came of an attempt, and give what follows."""
        error = outcome.verdict(notice, to, told)
        change = await self._desk.gate.leave(to.target, outcome.sent(notice, to, given, told))
        if change == "disabled":
            why = f"{error}; its endpoint was disabled: enable it to go on"
            error = EndpointDisabled(why, retry_after_s=outcome.LOOK_AGAIN_S)
        await self._desk.history.note(notice.tenant, outcome.status(notice, to, told, error), told)
        await self._tell(change, to)
        return error

    async def _tell(self, change: Change, to: Destination) -> None:
        if not change:
            return
        on = f"{to.target.tenant}/{to.target.id}"
        if change == "disabled":
            # A person has to enable it: until then its callbacks wait.
            log.error("endpoint.disabled", endpoint=to.target.id, tenant=to.target.tenant, origin=to.target.origin)
            await self._desk.audit.note("endpoint.disabled", on, by="corral", details=to.target.origin)
        else:
            log.warning("endpoint.breaker_moved", endpoint=to.target.id, tenant=to.target.tenant, breaker=change)
