"""A callback as it was sent: what somebody who listens to a tenant's callbacks is given."""

from pydantic import BaseModel, Field


class SentCallback(BaseModel):
    """One try of one callback. Whoever sends these headers and this body on sends the same callback."""

    url: str = Field(description="Where it was sent.")
    headers: dict[str, str] = Field(description="`content-type` and those of Standard Webhooks, signature and all.")
    body: str = Field(description="To be sent as UTF-8; the signature is over exactly this.")
