"""What follows from an error: another attempt, or the end. Pure, so that every case is tested."""

import random
from dataclasses import dataclass

from schemas.callback_attempt import CallbackParked
from schemas.errors import Cancelled as CancelledError
from schemas.errors import CorralError, HandlerFailed, Retryable
from schemas.job_spec import RetryPolicy, RetrySchedule
from schemas.outcome import Cancelled, DeadLettered, Retrying

Failure = Retrying | DeadLettered | Cancelled


@dataclass(frozen=True)
class Chances:
    """What a job has left: this is attempt ``number`` of ``limit``, and ``retry`` says when the next one is.

    The limit is the job's own, given when it was added; today's spec does not change it.
    """

    number: int
    limit: int
    retry: RetryPolicy | RetrySchedule


def judge(error: Exception, chances: Chances, rng: random.Random) -> Failure:
    """Decide how an attempt that raised ``error`` ends."""
    match known(error):
        case CancelledError() as cancelled:
            return Cancelled(cancelled)
        case CallbackParked() as parked:
            return Retrying(parked, parked.retry_after_s)
        case Retryable() as retryable if chances.number < chances.limit:
            # The other side said when it will listen again: jitter must not undercut that.
            delay_s = chances.retry.delay_s(chances.number, rng)
            return Retrying(retryable, max(delay_s, retryable.retry_after_s))
        case final:
            return DeadLettered(final)


def known(error: Exception) -> CorralError:
    """Give any error a class that says what may be done about it.

    A message of a foreign error may hold anything, so none of it becomes public.
    """
    if isinstance(error, CorralError):
        return error
    return HandlerFailed(f"an unforeseen {type(error).__name__}; the operator's log has the details")
