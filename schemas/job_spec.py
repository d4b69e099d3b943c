"""What a kind of job is: its payload, its result, its limits and its retries.

A spec is declared in ``schemas/jobs/<queue>.py`` and found there by ``catalogue``; nothing is
registered by hand.
"""

import importlib
import pkgutil
import random
import re
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from types import ModuleType
from typing import Generic, TypeVar

from pydantic import BaseModel

import schemas.jobs
from schemas.envelope import Limits

P_co = TypeVar("P_co", bound=BaseModel, covariant=True)
R_co = TypeVar("R_co", bound=BaseModel, covariant=True)

# The queue becomes a key and the first part of every job id, so it has neither ":" nor "_".
_KIND = re.compile(r"^(?P<queue>[a-z][a-z0-9-]*)\.(?P<verb>[a-z][a-z0-9_]*)$")


@dataclass(frozen=True)
class RetryPolicy:
    """How often a job is attempted, and how long it waits in between.

    The wait before attempt n+1 is drawn evenly from [0, min(cap_s, base_s * 2**(n-1))] seconds
    ("full jitter"), so that a fleet does not come back in step after an outage.
    """

    attempts: int = 3
    base_s: float = 5.0
    cap_s: float = 600.0

    def delay_s(self, attempt: int, rng: random.Random) -> float:
        """Give the wait in seconds after failed attempt number ``attempt``, counted from 1."""
        # 2.0**1024 overflows; any cap is reached long before 2**63.
        return rng.uniform(0, min(self.cap_s, self.base_s * 2.0 ** min(attempt - 1, 63)))


@dataclass(frozen=True)
class RetrySchedule:
    """Retries at stated distances, each spread by a share of itself.

    The wait before attempt n+1 is ``delays_s[n-1]`` * (1 +- ``jitter``) seconds.
    """

    delays_s: tuple[float, ...]
    jitter: float = 0.2

    @property
    def attempts(self) -> int:
        """The first attempt, and one after each delay."""
        return len(self.delays_s) + 1

    def delay_s(self, attempt: int, rng: random.Random) -> float:
        """Give the wait in seconds after failed attempt number ``attempt``, counted from 1."""
        delay_s = self.delays_s[min(attempt, len(self.delays_s)) - 1]
        return delay_s * rng.uniform(1 - self.jitter, 1 + self.jitter)


@dataclass(frozen=True)
class JobSpec(Generic[P_co, R_co]):
    """One kind of job. Declared, never registered.

    ``timeout_s`` bounds one attempt, ``wait_s`` the time in the queue before the first, ``heartbeat_s``
    the silence of a handler between two of its signs of life (progress, a line of the log, a heartbeat);
    a job may ask for less. ``crashes`` is how often a worker may die under the job
    before it is given up; crashes do not use up attempts. An ``internal`` kind is made by Corral
    itself and has no route.
    """

    kind: str
    payload: type[P_co]
    result: type[R_co]
    timeout_s: float = 300.0
    wait_s: float | None = None
    heartbeat_s: float | None = None
    retry: RetryPolicy | RetrySchedule = field(default_factory=RetryPolicy)
    crashes: int = 3
    internal: bool = False

    def __post_init__(self) -> None:
        """Refuse a kind that is not ``<queue>.<verb>``.

        Raises:
            ValueError: the name cannot lead to a queue and a handler.
        """
        if not _KIND.match(self.kind):
            raise ValueError(f"a kind is <queue>.<verb> in lower case, not {self.kind!r}")

    @cached_property
    def limits(self) -> Limits:
        """How long its jobs may take, unless they ask for less."""
        return Limits(wait_s=self.wait_s, run_s=self.timeout_s, heartbeat_s=self.heartbeat_s)

    @property
    def queue(self) -> str:
        """The queue its jobs wait in."""
        return self.kind.partition(".")[0]

    @property
    def verb(self) -> str:
        """The name of its handler's module."""
        return self.kind.partition(".")[2]


AnySpec = JobSpec[BaseModel, BaseModel]
Catalogue = dict[str, AnySpec]


def catalogue(package: ModuleType = schemas.jobs) -> Catalogue:
    """Find every spec below a package, by kind, in alphabetical order.

    Raises:
        ValueError: two specs have one kind.
    """
    modules = (
        importlib.import_module(f"{package.__name__}.{found.name}") for found in pkgutil.iter_modules(package.__path__)
    )
    specs = [
        value
        for value in chain.from_iterable(vars(module).values() for module in modules)
        if isinstance(value, JobSpec)
    ]
    by_kind: Catalogue = {}
    for spec in sorted(specs, key=lambda spec: spec.kind):
        if by_kind.setdefault(spec.kind, spec) is not spec:
            raise ValueError(f"two job specs have the kind {spec.kind!r}; rename one of them")
    return by_kind
