"""Whose request it is: every route asks here first."""

import hashlib
import hmac
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr

from producers.api.engine_time import engine_time
from producers.api.refusal import JobNotFound, OperatorOnly, Unauthorized
from producers.engine.job_record import tenant_of
from producers.engine.jobs import Engine
from producers.settings import ApiSettings
from schemas.envelope import DEFAULT_TENANT
from schemas.job_status import JobRecord

_LONGEST_ID = 128
_bearer = HTTPBearer(auto_error=False, description="A tenant's token. Without tokens only loopback is served.")


class Door:
    """Knows which token belongs to which tenant; keeps only the tokens' digests."""

    def __init__(self, tokens: dict[str, SecretStr]) -> None:
        """Let in whoever has one of these tokens, and everybody when there are none."""
        self._tenants = {_digest(token.get_secret_value()): tenant for tenant, token in tokens.items()}

    def tenant(self, token: str | None) -> str | None:
        """Give the tenant that a token belongs to; None for a stranger."""
        if not self._tenants:
            return DEFAULT_TENANT
        given = _digest(token or "")
        # Every digest is compared, each in constant time, so that time tells nothing.
        matches = [tenant for known, tenant in self._tenants.items() if hmac.compare_digest(known, given)]
        return matches[0] if matches else None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def tenant(request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> str:
    """Say whose request it is, or turn it away."""
    door: Door = request.app.state.door
    if found := door.tenant(credentials.credentials if credentials else None):
        return found
    raise Unauthorized("send a known token: 'Authorization: Bearer ...'", headers={"WWW-Authenticate": "Bearer"})


Tenant = Annotated[str, Depends(tenant)]


def operator(request: Request, tenant: Tenant) -> str:
    """Say which operator asks, or turn the request away.

    With tokens it is the tenant that ``CORRAL_API_OPERATOR`` names, and nobody when that one has no
    token. Without tokens only this machine is served, and whoever sits at it is the operator.
    """
    settings: ApiSettings = request.app.state.settings
    if settings.api_tokens and tenant != settings.api_operator:
        raise OperatorOnly("only the operator steers: use the token of the tenant that CORRAL_API_OPERATOR names")
    origin = request.headers.get("origin")
    if not settings.api_tokens and origin and urlsplit(origin).netloc != request.headers.get("host"):
        # A browser at this machine may show anybody's page, and that page may post to us.
        raise OperatorOnly("a page of another address may not steer; use the command line, or set tokens")
    return tenant


Operator = Annotated[str, Depends(operator)]


async def own_job(request: Request, job_id: str, tenant: Tenant) -> JobRecord:
    """Find a job of this tenant; another's is as good as none."""
    engine: Engine = request.app.state.engine
    async with engine_time(request):
        found = await engine.read(job_id)
    if found is None or tenant_of(found) != tenant:
        raise JobNotFound(f"there is no job {job_id[:_LONGEST_ID]}; it may have ended days ago")
    return found


OwnJob = Annotated[JobRecord, Depends(own_job)]
