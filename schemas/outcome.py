"""How an attempt ends: one of four ways, and there is no fifth."""

from dataclasses import dataclass

from pydantic import BaseModel

from schemas.errors import CorralError


@dataclass(frozen=True)
class Completed:
    """The handler returned a result."""

    result: BaseModel


@dataclass(frozen=True)
class Retrying:
    """The attempt failed and another follows in ``delay_s`` seconds."""

    error: CorralError
    delay_s: float


@dataclass(frozen=True)
class DeadLettered:
    """The job failed for good; only a person adds it again."""

    error: CorralError


@dataclass(frozen=True)
class Cancelled:
    """Somebody asked for the job to end, and it did."""

    error: CorralError


Outcome = Completed | Retrying | DeadLettered | Cancelled
