"""Traces: one trace id from the request over the queue and the attempt to the callback.

Off unless ``OTEL_EXPORTER_OTLP_ENDPOINT`` is set, and then nothing of OpenTelemetry is loaded: a caller's own
``traceparent`` is passed on all the same, and its trace id is in the log.
"""

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal

import structlog

from schemas.errors import Misconfigured

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

Role = Literal["server", "producer", "consumer"]
_current: ContextVar[str | None] = ContextVar("traceparent", default=None)


@dataclass
class Span:
    """A stretch of time under one name. What is noted until its end goes with it."""

    traceparent: str | None
    facts: dict[str, str | int | float] = field(default_factory=dict)
    failed: str = ""

    @property
    def marks(self) -> dict[str, str]:
        """What a line of the log has of it."""
        if self.traceparent is None:
            return {}
        _, trace_id, span_id, _ = self.traceparent.split("-")
        return {"trace_id": trace_id, "span_id": span_id}


class Tracing(ABC):
    """Makes spans."""

    @abstractmethod
    def span(self, name: str, role: Role, parent: str | None) -> AbstractContextManager[Span]:
        """Measure a block, as a part of what ``parent`` names; without one it begins a trace."""

    @abstractmethod
    def close(self) -> None:
        """Send what is left; a collector that is away delays this by its own time limit."""


class Off(Tracing):
    """No spans: what the caller sent is passed on."""

    @contextmanager
    def span(self, name: str, role: Role, parent: str | None) -> Iterator[Span]:  # noqa: ARG002 - the port's
        """Give the parent itself."""
        yield Span(parent)

    def close(self) -> None:
        """Nothing is left."""


def well_formed(given: str | None) -> str | None:
    """Give a W3C trace context that is well-formed; as the standard asks, another is ignored."""
    return given if given and _TRACEPARENT.fullmatch(given) else None


def from_environment(service: str) -> Tracing:
    """Trace when a collector is named, under ``OTEL_SERVICE_NAME`` or ``service``.

    Raises:
        Misconfigured: a collector is named and the libraries are not installed.
    """
    if not any(os.environ.get(name) for name in _ENDPOINTS):
        return Off()
    try:
        from producers.trace_export import exporting  # noqa: PLC0415 - costs 10 MB that most workers do not need
    except ModuleNotFoundError as error:
        raise Misconfigured(f"{_ENDPOINTS[0]} is set: install corral[tracing], or unset it") from error
    return exporting(service)


def current() -> str | None:
    """Give the context of the span that runs now, for whatever it begins."""
    return _current.get()


@contextmanager
def within(span: Span) -> Iterator[None]:
    """Have ``current`` and the log know a span."""
    token = _current.set(span.traceparent)
    try:
        with structlog.contextvars.bound_contextvars(**span.marks):
            yield
    finally:
        _current.reset(token)


def job_facts(queue: str, kind: str, job_id: str) -> dict[str, Any]:
    """Describe a job as OpenTelemetry's conventions for messaging name things."""
    return {
        "messaging.system": "bullmq",
        "messaging.destination.name": queue,
        "messaging.message.id": job_id,
        "corral.kind": kind,
    }
