"""What the API measures of a request: the whole of it, and within it the adding of a job."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from producers.enqueue import Accepted, Order
from producers.trace import Span, Tracing, job_facts, well_formed, within

_HEADER = b"traceparent"
_FIRST_FAULT = 500
# They come every few seconds and tell of nothing.
_OF_MACHINES = frozenset({"/livez", "/readyz", "/metrics"})


class TracedRequests:
    """Middleware: makes each request a span, and its header the one that routes and jobs go on from."""

    def __init__(self, app: ASGIApp, tracing: Tracing) -> None:
        """Wrap an app."""
        self._app = app
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"] in _OF_MACHINES:
            await self._app(scope, receive, send)
            return
        headers = [pair for pair in scope["headers"] if pair[0] != _HEADER]
        given = next((value.decode("latin-1") for name, value in scope["headers"] if name == _HEADER), None)
        with self._tracing.span(scope["method"], "server", well_formed(given)) as span, within(span):

            async def noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    _note(span, scope, message["status"])
                await send(message)

            own = [(_HEADER, span.traceparent.encode())] if span.traceparent else []
            await self._app({**scope, "headers": [*headers, *own]}, receive, noted)


def _note(span: Span, scope: Scope, status: int) -> None:
    span.facts |= {"http.request.method": scope["method"], "http.response.status_code": status}
    span.failed = str(status) if status >= _FIRST_FAULT else ""


@dataclass(frozen=True)
class TracedEnqueue:
    """Makes each order a span, which the job's attempts go on from."""

    enqueue: Callable[[Order], Awaitable[Accepted]]
    tracing: Tracing

    async def __call__(self, order: Order) -> Accepted:
        """Add the job."""
        with self.tracing.span(f"enqueue {order.spec.kind}", "producer", order.traceparent) as span:
            accepted = await self.enqueue(replace(order, traceparent=span.traceparent))
            span.facts |= job_facts(order.spec.queue, order.spec.kind, accepted.job_id)
        return accepted
