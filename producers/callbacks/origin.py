"""The origin of a plain address: what limits, breaker and disabling go by where no endpoint is registered."""

import hashlib
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}


def origin_of(url: str) -> str:
    """Give scheme, host and port."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port or _PORTS.get(parts.scheme)}"


def origin_id(origin: str) -> str:
    """Name an origin as endpoints are named."""
    return f"origin_{hashlib.sha256(origin.encode()).hexdigest()[:26]}"
