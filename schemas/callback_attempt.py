"""What came of one attempt to deliver a callback, and what is known of a callback as a whole."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.errors import JobError

# Long enough for a receiver's error page to say what is wrong, too short to fill the server.
ANSWER_LIMIT_CHARS = 4096


class CallbackAttempt(BaseModel):
    """One POST, as it went."""

    model_config = ConfigDict(frozen=True)

    at: datetime = Field(description="When it was begun; the signature's timestamp is the same second.")
    url: str
    address: str | None = Field(default=None, description="The IP address that was reached.")
    status: int | None = Field(default=None, description="The receiver's HTTP status; none when it did not answer.")
    latency_s: float = Field(ge=0, description="From the first byte to the receiver's status.")
    error: JobError | None = Field(default=None, description="Why it does not count as delivered.")
    answer: str = Field(default="", description="The first 4 kB of the receiver's body, secrets hidden.")
    retry_after_s: float = Field(default=0.0, ge=0, description="For how long the receiver asked us to wait.")
    signature_base: str = Field(default="", description="What was signed: id, timestamp and body, with dots between.")
    on_request: bool = Field(default=False, description="Somebody asked for it: a replay, or a ping.")


CallbackState = Literal["retrying", "parked", "delivered", "failed"]
