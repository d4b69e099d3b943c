"""The settings of one reader of one queue."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from producers.engine.new_job import Keep


@dataclass(frozen=True)
class ConsumerOptions:
    """How jobs are taken from one queue."""

    queue: str
    prefix: str
    name: str
    lock_s: float
    crashes: int
    keep_finished_s: int
    keep_finished_count: int | None = None
    tenant_weights: Mapping[str, float] = field(default_factory=dict)

    @property
    def watch_s(self) -> float:
        """How often locks are renewed and the jobs of dead workers looked for.

        Workers share one look per interval, so the next may come two intervals later: a job whose
        worker was killed runs again within 1.5 x ``lock_s``.
        """
        return self.lock_s / 4

    @property
    def kept(self) -> Keep:
        """How long ended jobs stay whose own options do not say."""
        return Keep(self.keep_finished_s, self.keep_finished_count)
