"""The API's settings."""

import ipaddress
import re

from pydantic import Field, SecretStr, model_validator

from schemas.settings import CallbackSettings, FileSettings, LogSettings, TenantSettings

_SHORTEST_TOKEN = 24
# It names a folder of the store, and stands in logs.
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class ApiSettings(CallbackSettings, TenantSettings, FileSettings, LogSettings):
    """What an API process reads from its environment."""

    api_host: str = Field(default="127.0.0.1", description="The address to listen on.")
    api_port: int = Field(default=8000, ge=1, le=65535)
    api_processes: int = Field(default=1, ge=1, le=64)
    api_tokens: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="JSON object of tenant to bearer token; without one the API serves loopback only.",
    )
    api_operator: str = Field(
        default="operator", description="The tenant whose token may steer queues and workers; without tokens anybody."
    )
    api_upload_limit_bytes: int = Field(default=2 * 1024**3, ge=1, description="Of one file.")
    api_body_limit_bytes: int = Field(default=1024**2, ge=1024, description="Of one JSON body.")
    api_heartbeat_s: float = Field(
        default=15, gt=0, le=40, description="A silent event stream says this often that it lives, in seconds."
    )
    idempotency_s: int = Field(
        default=72 * 3600, ge=60, description="How long an `Idempotency-Key` means the same job."
    )

    @property
    def tenants_share(self) -> bool:
        """There may be more than one tenant, so each job gets its place among them."""
        return len(self.api_tokens) > 1 or bool(self.tenant_weights)

    @model_validator(mode="after")
    def _guard_the_door(self) -> "ApiSettings":
        tokens = {token.get_secret_value() for token in self.api_tokens.values()}
        if len(tokens) < len(self.api_tokens):
            raise ValueError("CORRAL_API_TOKENS: two tenants have the same token; give each its own")
        for tenant, token in self.api_tokens.items():
            if not _TENANT.fullmatch(tenant):
                raise ValueError(f"CORRAL_API_TOKENS: {tenant!r} is no tenant; use up to 64 of A-Z a-z 0-9 . _ -")
            if len(token.get_secret_value()) < _SHORTEST_TOKEN:
                raise ValueError(f"CORRAL_API_TOKENS: {tenant!r} has a token under {_SHORTEST_TOKEN} characters")
        if not self.api_tokens and not is_loopback(self.api_host):
            raise ValueError(
                f"CORRAL_API_HOST is {self.api_host}: without CORRAL_API_TOKENS the API serves loopback only"
            )
        if self.idempotency_s > self.keep_finished_s:
            raise ValueError("CORRAL_IDEMPOTENCY_S must not be above CORRAL_KEEP_FINISHED_S")
        return self


def is_loopback(host: str) -> bool:
    """Tell whether an address or name can be reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
