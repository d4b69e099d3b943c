"""Endpoints: receivers that a tenant has registered, and that jobs name in place of a URL."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.envelope import OUTCOMES, CallbackUrl, EventType

Signature = Literal["hmac-sha256", "ed25519"]
Events = Annotated[tuple[EventType, ...], Field(min_length=1, description="Which events it hears of.")]
Description = Annotated[str, Field(max_length=500)]
Concurrency = Annotated[int, Field(ge=1, le=100, description="How many callbacks it gets at once.")]
Rate = Annotated[float, Field(gt=0, le=10_000, allow_inf_nan=False, description="How many callbacks it gets a second.")]

DEFAULT_CONCURRENCY = 25


class EndpointRequest(BaseModel):
    """An endpoint to register."""

    model_config = ConfigDict(extra="forbid")

    url: CallbackUrl
    events: Events = OUTCOMES
    description: Description = ""
    signature: Signature = Field(
        default="hmac-sha256", description="`v1`, with a shared secret, or `v1a`, with a public key."
    )
    concurrency: Concurrency = DEFAULT_CONCURRENCY
    rate_per_s: Rate | None = Field(default=None, description="None is no limit.")


class EndpointChange(BaseModel):
    """What is to be different; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    url: CallbackUrl | None = None
    events: Events | None = None
    description: Description | None = None
    concurrency: Concurrency | None = None
    rate_per_s: Rate | None = Field(default=None, description="null lifts the limit.")


class Disabled(BaseModel):
    """Why nothing is sent to an endpoint; its callbacks wait until it is enabled."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    reason: Literal["asked", "gone", "failing"] = Field(
        description="`asked`: by its owner; `gone`: it answered 410; `failing`: nothing got through for days."
    )
    origin: str = Field(default="", description="Of plain addresses: the origin that is meant.")


class EndpointHealth(BaseModel):
    """How it goes with what is sent to an endpoint, or to the origin of a plain address."""

    breaker: Literal["closed", "open"] = Field(description="Open: only a probe is sent now and then.")
    failures: int = Field(ge=0, description="One after the other, with no success in between.")
    failing_since: datetime | None = None
    next_probe_at: datetime | None = None
    parked: int = Field(ge=0, description="Callbacks that wait for it.")


class DisabledOrigin(BaseModel):
    """The origin of plain addresses to which nothing is sent; enabled like an endpoint, by its id."""

    id: str
    origin: str
    disabled: Disabled


class EndpointStatus(BaseModel):
    """An endpoint as it is now."""

    id: str
    url: str
    events: tuple[EventType, ...]
    description: str
    signature: Signature
    public_key: str | None = Field(default=None, description="`whpk_...`: verifies its callbacks, with ed25519.")
    concurrency: int
    rate_per_s: float | None
    created_at: datetime
    disabled: Disabled | None = None
    health: EndpointHealth | None = Field(default=None, description="Left out in lists.")


class EndpointSecret(BaseModel):
    """What verifies an endpoint's callbacks from now on."""

    secret: str | None = Field(
        default=None, description="`whsec_...`: shown this once. None with ed25519: its private key stays with us."
    )
    public_key: str | None = None
    previous_until: datetime | None = Field(
        default=None, description="Until then each callback has the former secret's signature as well."
    )


class NewEndpoint(EndpointStatus, EndpointSecret):
    """An endpoint that was registered just now, with its secret."""


class PingEvent(BaseModel):
    """The body of a ping."""

    type: Literal["endpoint.ping"] = "endpoint.ping"
    timestamp: datetime
    version: Literal[1] = 1
    data: dict[Literal["endpoint"], str]
