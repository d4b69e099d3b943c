"""What a request passes before any route sees it: marked and measured, its host, the size of its body."""

import time
from http import HTTPStatus

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from producers.api import problem
from producers.api.metrics import ApiMetrics
from producers.api.refusal import BodyTooLarge, HostRefused
from producers.api.request_mark import headers_of_every_answer, mark
from producers.file_store import FileTooLarge

# What a form may have around its file.
_FORM_BYTES = 64 * 1024
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Marked:
    """Middleware: gives each request its id, each answer its headers, and each route its time."""

    def __init__(self, app: ASGIApp, metrics: ApiMetrics) -> None:
        """Wrap an app."""
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status = time.perf_counter(), 0

        async def marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _complete(MutableHeaders(scope=message), scope)
                self._observe(scope, status, time.perf_counter() - begun)
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=mark(scope), path=scope["path"]):
            try:
                await self._app(scope, receive, marked)
            finally:
                if not status:
                    # It raised: the server's last resort answers outside of us.
                    self._observe(scope, HTTPStatus.INTERNAL_SERVER_ERROR, time.perf_counter() - begun)

    def _observe(self, scope: Scope, status: int, seconds: float) -> None:
        # Whatever a caller makes up must not become a label: each would stay in memory for ever.
        method = scope["method"] if scope["method"] in _METHODS else "other"
        route = getattr(scope.get("route"), "path", "none")
        self._metrics.requests.labels(method, route, str(int(status))).observe(seconds)


class HostGuard:
    """Middleware: serves a request only under one of these names.

    Without tokens the one guard is loopback: a page in a browser must not borrow it by giving its
    own name our address ("DNS rebinding").
    """

    def __init__(self, app: ASGIApp, names: frozenset[str]) -> None:
        """Wrap an app."""
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and _host(scope) not in self._names:
            refusal = HostRefused("without tokens only localhost is served: call it by that name")
            await problem.refused(scope, refusal)(scope, receive, send)
            return
        await self._app(scope, receive, send)


class BodyLimit:
    """Middleware: bounds a body, by its announced length at once, else as it comes.

    Files have a limit of their own, which the store enforces to the byte.
    """

    def __init__(self, app: ASGIApp, *, limit_bytes: int, files_path: str, file_limit_bytes: int) -> None:
        """Wrap an app; bodies to ``files_path`` are files."""
        self._app = app
        self._limit_bytes = limit_bytes
        self._files_path = files_path
        self._file_limit_bytes = file_limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        of_file = scope["path"] == self._files_path
        limit_bytes = self._file_limit_bytes + _FORM_BYTES if of_file else self._limit_bytes
        if announced_bytes(scope) > limit_bytes:
            await self._too_large(scope, of_file=of_file)(scope, receive, send)
            return
        received_bytes = 0

        async def bounded() -> Message:
            nonlocal received_bytes
            message = await receive()
            received_bytes += len(message.get("body", b""))
            if received_bytes > limit_bytes:
                if of_file:
                    raise FileTooLarge.above(self._file_limit_bytes)
                # While it reads JSON the framework lets only its own exception through.
                raise HTTPException(BodyTooLarge.status, self._detail)
            return message

        await self._app(scope, bounded, send)

    @property
    def _detail(self) -> str:
        return f"a body may have {self._limit_bytes:,} bytes at the most; upload what is large as a file"

    def _too_large(self, scope: Scope, *, of_file: bool) -> ASGIApp:
        if of_file:
            error = FileTooLarge.above(self._file_limit_bytes)
            return problem.answer(scope, problem.STATUS[FileTooLarge], error.code, str(error))
        return problem.refused(scope, BodyTooLarge(self._detail))


def announced_bytes(scope: Scope) -> int:
    """Give the body's length as its sender announced it; 0 when it did not."""
    text = Headers(scope=scope).get("content-length", "")
    return int(text) if text.isdecimal() and text.isascii() else 0


def _host(scope: Scope) -> str:
    host = Headers(scope=scope).get("host", "").lower()
    name, bracket, _ = host.rpartition("]")
    return name + bracket if bracket else host.partition(":")[0]


def _complete(headers: MutableHeaders, scope: Scope) -> None:
    headers.update(headers_of_every_answer(scope))
    if "json" in headers.get("content-type", ""):
        # A job's state is old a moment later, and a tenant's answer is nobody else's.
        headers.setdefault("Cache-Control", "no-store")
