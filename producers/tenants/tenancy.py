"""What the settings say of tenants, put together: how they share the fleet and what each may have."""

from redis.asyncio import Redis

from producers.engine.fairness import Fairness
from producers.engine.jobs import Tenants
from producers.settings import ApiSettings
from producers.tenants.admission import Admission, TenantLimits
from producers.tenants.ledger import TenantLedger


def tenancy(settings: ApiSettings, redis: Redis) -> tuple[Tenants, Admission]:
    """Give what each add does for tenants, and who may add. Who is alone stands in the engine's plain line."""
    ledger = TenantLedger(redis, settings.queue_prefix)
    limits = TenantLimits(settings.tenant_jobs_in_flight, settings.tenant_jobs_queued, settings.tenant_bytes_queued)
    shared = len(settings.api_tokens) > 1 or bool(settings.tenant_weights)
    fairness = Fairness(redis, settings.tenant_weights) if shared else None
    return Tenants(fairness, ledger), Admission(ledger, limits)
