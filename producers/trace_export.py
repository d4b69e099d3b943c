"""Spans by OpenTelemetry, sent by OTLP over HTTP. The libraries are the extra ``tracing``.

Endpoint, headers, sampling and the like are OpenTelemetry's own ``OTEL_`` variables.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from producers.trace import Role, Span, Tracing
from schemas import VERSION

_KINDS: dict[Role, SpanKind] = {
    "server": SpanKind.SERVER,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
}
_CONTEXT = TraceContextTextMapPropagator()
_HEADER = "traceparent"


class Exporting(Tracing):
    """Makes spans of a provider of its own: no library's spans are mixed in."""

    def __init__(self, provider: TracerProvider) -> None:
        """Give every span to ``provider``."""
        self._provider = provider
        self._tracer = provider.get_tracer("corral", VERSION)

    @contextmanager
    def span(self, name: str, role: Role, parent: str | None) -> Iterator[Span]:
        """Measure a block; an error that leaves it is noted, and never by its text."""
        above = _CONTEXT.extract({_HEADER: parent}) if parent else None
        measured = self._tracer.start_span(name, above, _KINDS[role])
        carrier: dict[str, str] = {}
        _CONTEXT.inject(carrier, set_span_in_context(measured))
        span, whole = Span(carrier.get(_HEADER)), False
        try:
            yield span
            whole = True
        finally:
            if not whole and not span.failed:
                span.failed = "raised"
            measured.set_attributes(span.facts)
            if span.failed:
                measured.set_status(Status(StatusCode.ERROR, span.failed))
            measured.end()

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()


def exporting(service: str) -> Exporting:
    """Send spans to the collector that the environment names."""
    resource = Resource.create(
        {"service.name": os.environ.get("OTEL_SERVICE_NAME", service), "service.version": VERSION}
    )
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Exporting(provider)
