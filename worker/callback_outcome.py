"""What follows from an attempt at a callback: for its job, for the gate and for what is kept of it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus

from producers.callbacks.gate import Pass, Result, Sent, Target
from producers.callbacks.origin import origin_id, origin_of
from producers.callbacks.signing_key import SigningKey
from schemas.callback_attempt import CallbackAttempt, CallbackParked, CallbackState, CallbackStatus
from schemas.errors import CallbackRefused, CallbackRejected, CorralError
from worker.ports import Notice

LOOK_AGAIN_S = 3600.0
_SLOWING = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)


@dataclass(frozen=True)
class Destination:
    """Where a callback goes, who counts what goes there, and by which keys it is signed."""

    url: str
    target: Target
    keys: Sequence[SigningKey]
    events: Sequence[str] | None = None


def named(notice: Notice, keys: Sequence[SigningKey]) -> Destination:
    """Give what the callback itself says of where it goes."""
    if notice.callback.endpoint is not None:
        return Destination("", Target(notice.tenant, notice.callback.endpoint), ())
    url = str(notice.callback.url)
    origin = origin_of(url)
    return Destination(url, Target(notice.tenant, origin_id(origin), origin=origin), keys)


def verdict(notice: Notice, to: Destination, told: CallbackAttempt) -> CorralError:
    """Give what follows when a callback was not taken."""
    message = told.error.message if told.error else "the receiver did not answer"
    if told.status == HTTPStatus.GONE and not to.target.origin and not notice.on_request:
        # It waits like all that follow, until its owner has looked.
        return CallbackParked(message, retry_after_s=LOOK_AGAIN_S)
    if told.error and told.error.code == CallbackRefused.code:
        return CallbackRefused(message)
    return CallbackRejected(message, retry_after_s=told.retry_after_s)


def sent(notice: Notice, to: Destination, given: Pass, told: CallbackAttempt) -> Sent:
    """Give what the gate learns of an attempt."""
    result: Result = "delivered"
    if told.status == HTTPStatus.GONE:
        result = "unknown" if to.target.origin else "gone"
    elif told.error is not None:
        # An address that may not be reached is its owner's mistake, and says nothing of a receiver.
        refused = told.error.code == CallbackRefused.code
        result = "unknown" if refused or told.status == HTTPStatus.TOO_MANY_REQUESTS else "failed"
    wait_s = told.retry_after_s if told.status in _SLOWING else None
    return Sent(notice.carrier_id, result, given.probe, notice.on_request, wait_s, told.latency_s)


def status(notice: Notice, to: Destination, told: CallbackAttempt | None, error: CorralError | None) -> CallbackStatus:
    """Give how a callback stands after an attempt, or with None as it is parked."""
    return CallbackStatus(
        id=notice.id,
        state=_state(notice, error),
        job_id=notice.job_id,
        kind=notice.kind,
        event=notice.event,
        event_at=notice.at,
        endpoint=to.target.id,
        url=to.url,
        status=told.status if told else None,
        error=error.public() if error else None,
        updated_at=datetime.now(UTC),
    )


def _state(notice: Notice, error: CorralError | None) -> CallbackState:
    match error:
        case None:
            return "delivered"
        case CallbackParked():
            return "parked"
        case CallbackRefused():
            return "failed"
        case _:
            return "failed" if notice.last else "retrying"
