"""Whether a job's callback may go where its caller wants it: told when the job is added, not when it has ended."""

from typing import Protocol

from producers.callbacks.endpoints import EndpointMissing, Endpoints
from schemas.envelope import Callback
from schemas.errors import PayloadInvalid


class Recipients(Protocol):
    """Looks at the callback of an order."""

    async def __call__(self, tenant: str, callback: Callback) -> None:
        """Return when the tenant may be called back so.

        Raises:
            AddressNotAllowed: the address is not among the tenant's.
            PayloadInvalid: the tenant has no such endpoint.
        """


def registered(endpoints: Endpoints) -> Recipients:
    """Look by the tenant's endpoints and its list of addresses."""

    async def check(tenant: str, callback: Callback) -> None:
        if callback.endpoint is None:
            endpoints.allow.check(tenant, str(callback.url))
            return
        try:
            await endpoints.records.find(tenant, callback.endpoint)
        except EndpointMissing as error:
            raise PayloadInvalid(f"callback.endpoint: {error}") from error

    return check
