"""``python -m tests.support.error_table``: writes docs/reference/errors.md from the classes that raise.

Each row comes from a class: its code, its HTTP status where the API answers with it, what it means
and what may be done. A test checks that the file is what this program would write.
"""

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import worker.handlers
from producers.api.problem import STATUS
from producers.api.refusal import Refusal
from schemas.errors import Cancelled, CorralError, Misconfigured, Permanent, Retryable

C = TypeVar("C", CorralError, Refusal)

FILE = Path(__file__).parents[2] / "docs" / "reference" / "errors.md"

_TOLD_OF = (
    "schemas.",
    "worker.handlers.",
    *(f"producers.{name}" for name in ("api.refusal", "callbacks.", "enqueue", "file_store", "schedules", "tenants.")),
)
_ROOTS = frozenset({CorralError, Refusal, Retryable, Permanent})

_INTRODUCTION = """\
# Errors

<!-- Made by `python -m tests.support.error_table` from the classes; edit those. -->

A code is stable; a message is for people and may change. The API answers a request that it turns down with
`application/problem+json` (RFC 9457):

```json
{"type": "about:blank", "title": "Not Found", "status": 404, "code": "job_not_found",
 "detail": "there is no job documents_42; it may have ended days ago", "request_id": "01jd..."}
```

`request_id` is also in the header `X-Request-Id` and in every line of the log. A 429 and a 503 have `Retry-After`.
`errors` lists the fields that are wrong.
"""
_OF_JOBS = """
## Of jobs

In `error.code` of `GET /v1/jobs/{id}` and of callbacks. Some are answers to requests as well: those have a status.
"""
_OF_REQUESTS = """
## Of requests alone
"""


def table() -> str:
    """Give the whole page."""
    jobs = [_row(cls.code, STATUS.get(cls), _again(cls), cls.__doc__) for cls in _classes(CorralError)]
    requests = [_row(cls.code, cls.status, None, cls.__doc__) for cls in _classes(Refusal)]
    return "\n".join(
        [_INTRODUCTION + _OF_JOBS, _head("again"), *sorted(jobs), _OF_REQUESTS, _head(None), *sorted(requests), ""]
    )


def codes() -> list[str]:
    """Give every code there is, one for each class."""
    return [cls.code for cls in _classes(CorralError)] + [cls.code for cls in _classes(Refusal)]


def _classes(root: type[C]) -> Iterator[type[C]]:
    for found in pkgutil.walk_packages(worker.handlers.__path__, f"{worker.handlers.__name__}."):
        importlib.import_module(found.name)
    waiting = [root]
    while waiting:
        cls = waiting.pop()
        waiting += cls.__subclasses__()
        # Not those that only a process or a client raises, when somebody has imported them.
        if cls.__module__.startswith(_TOLD_OF) and cls not in _ROOTS:
            yield cls


def _again(cls: type[CorralError]) -> str:
    if issubclass(cls, Retryable):
        return "by itself"
    special: dict[type[CorralError], str] = {Cancelled: "was asked to end", Misconfigured: "when it is mended"}
    return special.get(cls, "no")


def _head(again: str | None) -> str:
    columns = ["code", "status", *(["tried again"] if again else []), "what it means", "remedy"]
    return f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}"


def _row(code: str, status: int | None, again: str | None, docstring: str | None) -> str:
    meaning, _, remedy = " ".join((docstring or "").split()).partition(" Remedy: ")
    cells = [f"`{code}`", str(int(status)) if status else "", *([again] if again else []), meaning, remedy]
    return f"| {' | '.join(cell.replace('``', '`') for cell in cells)} |"


if __name__ == "__main__":
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(table())
    print(f"{FILE.name}: {len(codes())} codes")  # noqa: T201 - a program says what it did
