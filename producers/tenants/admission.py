"""Whether a tenant may add one more job: limits on what it has in flight, in line, and in bytes.

To ask costs nothing while a tenant is below its limits: every add answers with what the tenant then has
(``producers/tenants/ledger.py``), and that is what the next one is measured by, with those of this process that
are under way. Only who seems to be at a limit is counted anew, and refused when that is so. Several processes
may pass a limit together by as many adds as they have under way at that moment, and by one more each when
others have added since they last heard.
"""

import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from producers.engine.jobs import answering
from producers.tenants.ledger import TenantLedger, Usage
from schemas.errors import Retryable

# One count of 2,000 jobs takes the server about a millisecond: so often, whoever asks.
_COUNT_EVERY_S = 0.25
# A guess, as long as nobody has seen one of the tenant's jobs end.
_UNKNOWN_S = 5
_LONGEST_S = 300


class TenantLimitReached(Retryable):
    """The tenant has as many jobs, or bytes, in the queues as it may. Remedy: wait as long as ``Retry-After`` says."""

    code = "tenant_limit_reached"


@dataclass(frozen=True)
class TenantLimits:
    """What one tenant may have: jobs that have not ended, jobs that wait, bytes of jobs; None is no limit."""

    in_flight: int | None = None
    queued: int | None = None
    queued_bytes: int | None = None

    def excess(self, usage: Usage, coming: int) -> tuple[str, float]:
        """Tell which limit ``coming`` jobs more would break, and how many jobs must end first; "" and 0 for none."""
        if self.in_flight is not None and (over := usage.jobs + coming - self.in_flight) > 0:
            return f"{usage.jobs:,} of {self.in_flight:,} jobs in flight", over
        if self.queued is not None and (over := usage.queued + coming - self.queued) > 0:
            return f"{usage.queued:,} of {self.queued:,} jobs in line", over
        if self.queued_bytes is not None and (over := usage.bytes - self.queued_bytes + 1) > 0:
            return f"{usage.bytes:,} of {self.queued_bytes:,} bytes in line", over * usage.jobs / max(usage.bytes, 1)
        return "", 0.0


@dataclass
class _Watch:
    """When a tenant was counted last, and what was known when it first reached a limit: how fast its jobs end."""

    since: float
    ended: int
    counted: float

    def wait_s(self, over: float, usage: Usage, now: float) -> int:
        ended, passed_s = usage.ended - self.ended, now - self.since
        if ended <= 0:
            return min(_LONGEST_S, max(_UNKNOWN_S, math.ceil(passed_s)))
        return min(_LONGEST_S, max(1, math.ceil(over * passed_s / ended)))


@dataclass
class Admission:
    """Lets a tenant's jobs in while it is below its limits."""

    ledger: TenantLedger
    limits: TenantLimits
    clock: Callable[[], float] = time.monotonic
    _coming: Counter[str] = field(default_factory=Counter)
    _watches: dict[str, _Watch] = field(default_factory=dict)

    async def check(self, tenant: str) -> None:
        """Return when the tenant may add a job.

        Raises:
            TenantLimitReached: it may not, before the seconds in ``retry_after_s``.
            EngineUnavailable: the server does not answer.
        """
        coming = self._coming[tenant] + 1
        usage = self.ledger.known.get(tenant, Usage())
        if not self.limits.excess(usage, coming)[0]:
            self._watches.pop(tenant, None)
            return
        now, watch = self.clock(), self._watches.get(tenant)
        if watch is None or now - watch.counted >= _COUNT_EVERY_S:
            usage = await self.count(tenant)
            # Only from the first count on is it known when a job has ended.
            watch = self._watches.setdefault(tenant, _Watch(now, usage.ended, now))
            watch.counted = now
        what, over = self.limits.excess(usage, self._coming[tenant] + 1)
        if what:
            wait_s = watch.wait_s(over, usage, now)
            raise TenantLimitReached(f"the tenant has {what}; try again in {wait_s} s", retry_after_s=wait_s)

    async def count(self, tenant: str) -> Usage:
        """Learn anew what a tenant has; for who adds so seldom that what it has heard last is old.

        Raises:
            EngineUnavailable: the server does not answer.
        """
        async with answering():
            return await self.ledger.count(tenant)

    def adding(self, tenant: str) -> "_Adding":
        """Let a job in that is added within the block; it counts as coming meanwhile. Entering it is ``check``."""
        return _Adding(self, tenant, self._coming)


@dataclass(slots=True)
class _Adding:
    admission: Admission
    tenant: str
    coming: Counter[str]

    async def __aenter__(self) -> None:
        await self.admission.check(self.tenant)
        self.coming[self.tenant] += 1

    async def __aexit__(self, *_: object) -> None:
        self.coming[self.tenant] -= 1
        if not self.coming[self.tenant]:
            del self.coming[self.tenant]
