"""What is ordered of Corral in the soak, in which mixture, and how each order has to end."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from schemas.job_status import JobState
from schemas.jobs.documents import CONVERT
from tests.soak.kind import ECHO, GATHER, GIVE_UP, LINGER, NAP, PARTS, REFUSE, STUMBLE

TENANTS = ("north", "south", "west")
_POSTED_TWICE = 0.03

End = tuple[JobState, str]
COMPLETED: End = (JobState.COMPLETED, "")
CANCELLED: End = (JobState.CANCELLED, "job_cancelled")


@dataclass(frozen=True)
class Sort:
    """One part of the mixture: ``weight`` of all, and the ends that are right.

    ``cancel_s`` is after how many seconds at most its end is asked for; None is never.
    """

    name: str
    kind: str
    weight: float
    ends: tuple[End, ...] = (COMPLETED,)
    seconds: tuple[float, float] = (0.0, 0.0)
    asked: dict[str, Any] = field(default_factory=dict)
    cancel_s: float | None = None
    has_callback: bool = True


MIXTURE = (
    Sort("done at once", ECHO.kind, 40),
    Sort("no callback", ECHO.kind, 3, has_callback=False),
    Sort("delayed", ECHO.kind, 4, asked={"delay_s": 1.5}),
    Sort("takes 10-200 ms", NAP.kind, 20, seconds=(0.01, 0.2)),
    Sort("refused", REFUSE.kind, 8, ends=((JobState.FAILED, "source_refused"),)),
    Sort("retried", STUMBLE.kind, 8),
    Sort("given up", GIVE_UP.kind, 3, ends=((JobState.FAILED, "source_unavailable"),)),
    Sort("timed out", LINGER.kind, 3, ends=((JobState.FAILED, "job_timed_out"),), asked={"limits": {"run_s": 0.3}}),
    Sort("cancelled early", NAP.kind, 3, ends=(COMPLETED, CANCELLED), seconds=(0.1, 0.5), cancel_s=0.0),
    Sort("cancelled late", LINGER.kind, 3, ends=(CANCELLED,), cancel_s=3.0),
    Sort("fans out", GATHER.kind, 4, seconds=(0.0, 0.05)),
    Sort("document", CONVERT.kind, 0.5),
)


@dataclass(frozen=True)
class Order:
    """One job that somebody wants. The ``number`` is its idempotency key, and what a light one gives back."""

    number: int
    sort: Sort
    tenant: str
    seconds: float
    posts: int

    @property
    def result(self) -> int | None:
        """The number that it gives when it completes; None for a document."""
        if self.sort.kind == GATHER.kind:
            return sum(self.number + part for part in range(PARTS))
        return None if self.sort.kind == CONVERT.kind else self.number


def orders(count: int, rng: random.Random) -> Iterator[Order]:
    """Give the mixture."""
    weights = [sort.weight for sort in MIXTURE]
    for number in range(count):
        (sort,) = rng.choices(MIXTURE, weights)
        posts = 2 if rng.random() < _POSTED_TWICE else 1
        yield Order(number, sort, rng.choice(TENANTS), rng.uniform(*sort.seconds), posts)
