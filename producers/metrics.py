"""What an API process counts."""

import time
from http import HTTPStatus

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from schemas.job_spec import Catalogue

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class ApiMetrics:
    """The API's series, in a registry of their own."""

    def __init__(self, catalogue: Catalogue) -> None:
        """Show every kind from the start, so that a rate needs no first job to exist."""
        self.registry = CollectorRegistry()
        self.enqueued = Counter(
            "corral_jobs_enqueued_total", "Jobs that this process has put into a queue.", ["kind"], registry=self.registry
        )
        self.requests = Histogram(
            "corral_api_request_seconds",
            "Time from a request to the first byte of its answer.",
            ["method", "route", "status"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        for kind in catalogue:
            self.enqueued.labels(kind=kind)


class Measured:
    """Middleware: times each request, and puts the headers on it that every answer has."""

    def __init__(self, app: ASGIApp, metrics: ApiMetrics) -> None:
        """Wrap an app."""
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()

        async def measured(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-content-type-options", b"nosniff")]
                route = getattr(scope.get("route"), "path", "none")
                labels = (scope["method"], route, str(HTTPStatus(message["status"]).value))
                self._metrics.requests.labels(*labels).observe(time.perf_counter() - begun)
            await send(message)

        await self._app(scope, receive, measured)
