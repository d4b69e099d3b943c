"""How an attempt ends: one of five ways, and there is no sixth. ``name`` is for logs and metrics."""

from dataclasses import dataclass
from typing import ClassVar, Self

from pydantic import BaseModel

from schemas.errors import CorralError


@dataclass(frozen=True)
class Completed:
    """The handler returned a result; ``value_json`` is how it is stored."""

    name: ClassVar[str] = "completed"
    result: BaseModel
    value_json: str

    @classmethod
    def of(cls, result: BaseModel) -> Self:
        """Encode a result."""
        return cls(result, result.model_dump_json())


@dataclass(frozen=True)
class Retrying:
    """The attempt failed and another follows in ``delay_s`` seconds."""

    name: ClassVar[str] = "retrying"
    error: CorralError
    delay_s: float


@dataclass(frozen=True)
class DeadLettered:
    """The job failed for good; only a person adds it again."""

    name: ClassVar[str] = "dead_lettered"
    error: CorralError


@dataclass(frozen=True)
class Cancelled:
    """Somebody asked for the job to end, and it did."""

    name: ClassVar[str] = "cancelled"
    error: CorralError


@dataclass(frozen=True)
class Waiting:
    """The job waits for its children without a place in a worker, and is then attempted anew.

    No attempt is counted, and nothing went wrong.
    """

    name: ClassVar[str] = "waiting"


Outcome = Completed | Retrying | DeadLettered | Cancelled | Waiting
