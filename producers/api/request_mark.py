"""How a request is known again: an id that the answer, the problem and every log line carry."""

import re

from starlette.datastructures import Headers
from starlette.types import Scope
from ulid import ULID

from producers.trace import well_formed

REQUEST_ID = "X-Request-Id"

_KEY = "request_id"
# A caller's own id is kept when it can stand in a log line and a header as it is.
_ACCEPTABLE = re.compile(r"[A-Za-z0-9._-]{8,64}")


def mark(scope: Scope) -> str:
    """Give the request its id: the caller's ``X-Request-Id`` when it is acceptable, else a new one."""
    given = Headers(scope=scope).get(REQUEST_ID, "")
    found = given if _ACCEPTABLE.fullmatch(given) else str(ULID()).lower()
    scope.setdefault("state", {})[_KEY] = found
    return found


def request_id(scope: Scope) -> str:
    """Give the id of a marked request; empty for one that never was."""
    return str(scope.get("state", {}).get(_KEY, ""))


def headers_of_every_answer(scope: Scope) -> dict[str, str]:
    """Give the headers that no answer is without."""
    return {
        REQUEST_ID: request_id(scope),
        # What a caller uploaded is never taken for something to run.
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }


def traceparent(given: str | None) -> str | None:
    """Give a W3C trace context that is well-formed; as the standard asks, another is ignored."""
    return well_formed(given)
