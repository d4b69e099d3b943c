"""What sends callbacks, as the product opens it, for tests that deliver in their own process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic import SecretStr

from worker.adapters.endpoint_callback_sender import EndpointCallbackSender, signing_keys
from worker.adapters.guarded_http import HttpPost, guarded_client


@asynccontextmanager
async def callback_sender(secret: str, *, timeout_s: float = 20.0) -> AsyncIterator[EndpointCallbackSender]:
    """Send to receivers on this machine."""
    async with guarded_client(allow_loopback=True) as client:
        yield EndpointCallbackSender(HttpPost(client, timeout_s=timeout_s), signing_keys(SecretStr(secret)))
