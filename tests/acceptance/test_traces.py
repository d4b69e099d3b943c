"""One trace from the request over the queue and the attempt to the callback, sent to a collector by OTLP."""

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from corral.receiver import receiving
from corral.stack import new_secret
from corral.valkey import ValkeyServer
from producers import trace
from producers.trace import Off
from schemas.errors import Misconfigured
from tests.support.api_process import api_process
from tests.support.until import until
from tests.support.worker_process import worker_processes

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
CALLER = f"00-{TRACE_ID}-b7ad6b7169203331-01"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@dataclass
class Collector:
    """What a collector has received: spans by name."""

    url: str = ""
    spans: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def receive(self, body: bytes) -> None:
        """Take one request of an exporter."""
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            (service,) = [one.value.string_value for one in resource.resource.attributes if one.key == "service.name"]
            for span in (span for scope in resource.scope_spans for span in scope.spans):
                known = {
                    "service": service,
                    "trace": span.trace_id.hex(),
                    "id": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "failed": span.status.message,
                    **{one.key: one.value.string_value or one.value.int_value for one in span.attributes},
                }
                self.spans.setdefault(span.name, []).append(known)


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector on this machine."""
    found = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.receive(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield found
        server.shutdown()
        thread.join()


@pytest.mark.timeout(90)
async def test_request_enqueue_attempt_and_callback_are_one_trace(
    collector: Collector, valkey: ValkeyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller's, each below the one before; and the canonical line of the log has its ids."""
    monkeypatch.setenv(ENDPOINT, collector.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    secret = new_secret()
    with (
        receiving(secret) as receiver,
        worker_processes(valkey.url, tmp_path) as workers,
        api_process(valkey.url, tmp_path) as api,
    ):
        workers.start("worker", "documents", "callbacks", callback_secret=secret)
        async with httpx.AsyncClient(base_url=api.url, trust_env=False) as client:
            ref = (await client.post("/v1/files", content=b"# Title", params={"name": "a.md"})).json()["ref"]
            body = {"payload": {"source": {"file": ref, "name": "a.md"}}, "callback": {"url": receiver.url}}
            added = await client.post("/v1/jobs/documents.convert", json=body, headers={"traceparent": CALLER})
            assert added.status_code == 202
        names = ("POST", "enqueue documents.convert", "attempt documents.convert", "attempt callbacks.deliver")
        await until(lambda: all(ours(collector, name) for name in names), within_s=40)
        request, order, attempt, callback = (ours(collector, name)[0] for name in names)
        assert request["parent"] == CALLER.split("-")[2]
        assert order["parent"] == request["id"]
        assert attempt["parent"] == order["id"]
        assert callback["parent"] == order["id"]
        assert {request["service"], order["service"]} == {"corral-api"}
        assert {attempt["service"], callback["service"]} == {"corral-worker"}
        assert attempt["messaging.message.id"] == order["messaging.message.id"] == added.json()["id"]
        assert (attempt["corral.outcome"], attempt["failed"]) == ("completed", "")
        lines = [json.loads(line) for line in workers.log.read_text().splitlines() if line.startswith("{")]
        (line,) = [one for one in lines if one["event"] == "attempt.ended" and one["kind"] == "documents.convert"]
        assert (line["trace_id"], line["span_id"]) == (TRACE_ID, attempt["id"])


def ours(collector: Collector, name: str) -> list[dict[str, Any]]:
    """Give the spans of a name that belong to the caller's trace."""
    return [span for span in collector.spans.get(name, []) if span["trace"] == TRACE_ID]


def test_without_a_collector_nothing_of_opentelemetry_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tracing costs nothing until somebody wants it."""
    monkeypatch.delenv(ENDPOINT, raising=False)
    assert isinstance(trace.from_environment("corral-worker"), Off)


def test_a_collector_without_the_libraries_is_misconfigured(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install."""
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "producers.trace_export", None)
    with pytest.raises(Misconfigured, match=r"install corral\[tracing\]"):
        trace.from_environment("corral-worker")


async def test_a_worker_process_loads_no_exporter() -> None:
    """Seen in a process of its own; what redis-py loads, where the libraries are installed, is its own affair."""
    code = "import sys, worker.app; print([one for one in sys.modules if one.startswith('opentelemetry.exporter')])"
    environment = {name: text for name, text in os.environ.items() if name != ENDPOINT}
    pipe = asyncio.subprocess.PIPE
    python = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=pipe, env=environment)
    said, _ = await python.communicate()
    assert said.decode().strip() == "[]"
