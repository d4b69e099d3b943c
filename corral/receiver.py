"""A small receiver of callbacks, for the demo and the tests: it verifies each one and remembers it.

It answers on loopback, in a thread of its own, with a status that can be set beforehand.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks.webhooks import Webhook, WebhookVerificationError


@dataclass(frozen=True)
class Received:
    """One callback as it came; ``at`` is ``time.time()``."""

    webhook_id: str
    verified: bool
    event: dict[str, Any]
    at: float


@dataclass
class Receiver:
    """What came in, in order. ``answers`` are the statuses of the next answers; then it is 204."""

    url: str
    received: list[Received] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)


@contextmanager
def receiving(secret: str, *, tell: Callable[[Received], None] = lambda _: None) -> Iterator[Receiver]:
    """Receive callbacks on a free port of loopback; ``tell`` hears of each one as it comes."""
    webhook = Webhook(secret)

    class Handler(BaseHTTPRequestHandler):
        """Answers one connection."""

        protocol_version = "HTTP/1.1"

        def handle(self) -> None:
            """Answer until the sender hangs up, as one that is killed does in the middle of anything."""
            with suppress(ConnectionError):
                super().handle()

        def do_POST(self) -> None:
            """Verify, remember, answer."""
            body = self.rfile.read(size_bytes := int(self.headers["content-length"]))
            if len(body) < size_bytes:
                return
            try:
                webhook.verify(body, dict(self.headers))
                verified = True
            except WebhookVerificationError:
                verified = False
            callback = Received(self.headers["webhook-id"] or "", verified, json.loads(body), time.time())
            receiver.received.append(callback)
            tell(callback)
            status = receiver.answers.pop(0) if receiver.answers else HTTPStatus.NO_CONTENT
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Stay silent: ``tell`` is the log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}/callbacks")
    thread = threading.Thread(target=server.serve_forever, name="receiver", daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
