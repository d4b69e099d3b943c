"""The origin of a plain address: what limits, breaker and disabling go by where no endpoint is registered."""

import hashlib
from functools import lru_cache
from urllib.parse import urlsplit

# Each callback asks, and most go where others went.
_KNOWN = 1_000
_PORTS = {"http": 80, "https": 443}


@lru_cache(_KNOWN)
def origin_of(url: str) -> str:
    """Give scheme, host and port."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port or _PORTS.get(parts.scheme)}"


@lru_cache(_KNOWN)
def origin_id(origin: str) -> str:
    """Name an origin as endpoints are named."""
    return f"origin_{hashlib.sha256(origin.encode()).hexdigest()[:26]}"
