"""The engine with what the settings say of tenants: how they share the fleet, and what each may have."""

from redis.asyncio import Redis

from producers.engine.fairness import Fairness
from producers.engine.jobs import Engine, Tenants
from producers.tenants.admission import Admission, TenantLimits
from producers.tenants.ledger import TenantLedger
from schemas.settings import TenantSettings


def tenancy(settings: TenantSettings, redis: Redis, *, shared: bool = True) -> tuple[Engine, Admission]:
    """Give what adds each job at its tenant's place and into its tenant's books, and what says who may add.

    Only who knows that there is one tenant says that nothing is ``shared``: then jobs enter the engine's
    plain line.
    """
    ledger = TenantLedger(redis, settings.queue_prefix)
    fairness = Fairness(redis, settings.tenant_weights) if shared else None
    engine = Engine(
        redis,
        prefix=settings.queue_prefix,
        keep_finished_s=settings.keep_finished_s,
        keep_finished_count=settings.keep_finished_count,
        tenants=Tenants(fairness, ledger),
    )
    limits = TenantLimits(settings.tenant_jobs_in_flight, settings.tenant_jobs_queued, settings.tenant_bytes_queued)
    return engine, Admission(ledger, limits)
