"""Whatever a caller does wrong, the answer is a problem with a stable code, and never a trace."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest
import structlog
from fastapi import FastAPI

from producers.api.app import build
from producers.settings import ApiSettings
from schemas.job_spec import catalogue
from tests.conftest import serving

ROUTE = "/v1/jobs/documents.convert"
PAYLOAD = {"source": {"file": f"sha256-{'0' * 64}"}}
MISSING = f"sha256-{'f' * 64}"


def check(answer: httpx.Response, status: int, code: str) -> None:
    """Demand a problem as the standard and our promise have it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["code"] == code
    assert problem["status"] == status
    assert problem["type"] == "about:blank"
    assert problem["title"]
    assert problem["detail"]
    assert problem["request_id"] == answer.headers["X-Request-Id"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/v1/jobs/documents_01jd", 404, "job_not_found"),
        ("GET", "/v1/jobs/nothing", 404, "job_not_found"),
        ("GET", "/v1/jobs/documents_01jd/result", 404, "job_not_found"),
        ("GET", "/v1/jobs/documents_01jd/events", 404, "job_not_found"),
        ("GET", "/v1/jobs/documents_01jd/logs", 404, "job_not_found"),
        ("DELETE", "/v1/jobs/documents_01jd", 404, "job_not_found"),
        ("GET", f"/v1/files/{MISSING}", 404, "file_missing"),
        ("GET", "/v1/files/..%2f..%2fetc", 404, "not_found"),
        ("GET", "/v1/files/readme", 422, "payload_invalid"),
        ("PUT", ROUTE, 405, "method_not_allowed"),
        ("PATCH", "/v1/files", 405, "method_not_allowed"),
        ("POST", "/v1/jobs/documents.translate", 404, "unknown_kind"),
        ("POST", "/v1/jobs/callbacks.deliver", 404, "unknown_kind"),
        ("POST", f"/v1/jobs/{'x' * 900}", 404, "unknown_kind"),
    ],
)
async def test_an_address_that_leads_nowhere(
    api: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    """Each has its own code, so that a program can tell them apart."""
    check(await api.request(method, path), status, code)


async def test_an_unknown_kind_is_told_the_known_ones(api: httpx.AsyncClient) -> None:
    """A misspelt kind is mended in one look; what callers may not add is not offered."""
    detail = (await api.post("/v1/jobs/document.convert", json={})).json()["detail"]
    assert "'document.convert'" in detail
    assert "documents.convert" in detail
    assert "callbacks.deliver" not in detail


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 422, "payload_invalid"),
        (b"{", 422, "payload_invalid"),
        (b"[]", 422, "payload_invalid"),
        (b"{}", 422, "payload_invalid"),
        (b'"\xff"', 400, "body_invalid"),
        (b"[" * 500_000, 400, "body_invalid"),
        (b'{"payload":' * 50_000, 400, "body_invalid"),
        (b"9" * 5_000, 400, "body_invalid"),
        (json.dumps({"payload": {"source": {"file": "x"}}}).encode(), 422, "payload_invalid"),
        (json.dumps({"payload": PAYLOAD, "more": 1}).encode(), 422, "payload_invalid"),
        (json.dumps({"payload": PAYLOAD, "callback": {"url": "ftp://x"}}).encode(), 422, "payload_invalid"),
        (rb'{"payload": {"source": {"url": "\ud800"}}, "\ud800": 1}', 422, "payload_invalid"),
        (json.dumps({"payload": PAYLOAD, "x" * 100_000: 1}).encode(), 422, "payload_invalid"),
        (json.dumps({"payload": PAYLOAD} | {str(n): n for n in range(9_999)}).encode(), 422, "payload_invalid"),
        (b" " * (1024**2 + 1), 413, "body_too_large"),
    ],
)
async def test_a_body_that_makes_no_sense(api: httpx.AsyncClient, body: bytes, status: int, code: str) -> None:
    """Empty, broken, bottomless, endless, or no text: it is the caller's mistake, and the answer is short."""
    answer = await api.post(ROUTE, content=body, headers={"Content-Type": "application/json"})
    check(answer, status, code)
    assert len(answer.content) < 10_000


@pytest.mark.parametrize(
    "announced", [{}, {"Content-Type": "text/plain"}, {"Content-Type": "application/x-www-form-urlencoded"}]
)
async def test_json_that_is_not_announced_as_json(api: httpx.AsyncClient, announced: dict[str, str]) -> None:
    """As curl's `-d` sends it when the header is forgotten: the answer names the header, and not a field."""
    answer = await api.post(ROUTE, content=json.dumps({"payload": PAYLOAD}), headers=announced)
    check(answer, 415, "media_type_unsupported")
    assert "Content-Type: application/json" in answer.json()["detail"]


async def test_a_body_is_bounded_also_when_it_does_not_say_its_length(api: httpx.AsyncClient) -> None:
    """A caller who sends in chunks is stopped at the limit."""

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 65_536

    headers = {"Content-Type": "application/json"}
    check(await api.post(ROUTE, content=endless(), headers=headers), 413, "body_too_large")


async def test_a_payload_fault_names_each_field_and_no_value(api: httpx.AsyncClient) -> None:
    """The caller sees where; what was sent may be a secret."""
    body = {"payload": {"source": {"url": "http://x"}, "options": {"max_pages": "a-secret"}}}
    problem = (await api.post(ROUTE, json=body)).json()
    assert [fault["field"] for fault in problem["errors"]] == ["body.payload.options.max_pages"]
    assert "a-secret" not in json.dumps(problem)


@pytest.mark.parametrize("headers", [{"Idempotency-Key": ""}, {"Idempotency-Key": "x" * 256}])
async def test_a_key_has_one_to_255_characters(api: httpx.AsyncClient, headers: dict[str, str]) -> None:
    """What cannot be remembered is refused."""
    check(await api.post(ROUTE, json={"payload": PAYLOAD}, headers=headers), 422, "payload_invalid")


async def test_a_malformed_trace_is_no_reason_to_refuse_a_job(api: httpx.AsyncClient) -> None:
    """The standard says to go on without it."""
    answer = await api.post(ROUTE, json={"payload": PAYLOAD}, headers={"traceparent": "x" * 99})
    assert answer.status_code == 202


async def test_a_request_is_known_by_the_callers_id(api: httpx.AsyncClient) -> None:
    """In the header and in the problem."""
    answer = await api.get("/nowhere", headers={"X-Request-Id": "web-1.abc"})
    assert answer.headers["X-Request-Id"] == answer.json()["request_id"] == "web-1.abc"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8000", 200),
        ("127.0.0.1:8000", 200),
        ("[::1]:8000", 200),
        ("evil.example", 400),
        ("localhost.evil.example", 400),
        ("127.0.0.1.evil.example:8000", 400),
        ("[::2]", 400),
        ("", 400),
    ],
)
async def test_without_tokens_only_this_machine_is_served(api: httpx.AsyncClient, host: str, status: int) -> None:
    """A page in a browser that gives its own name our address is turned away."""
    answer = await api.get("/livez", headers={"Host": host})
    assert answer.status_code == status
    if status == 400:
        check(answer, 400, "host_refused")


@pytest.fixture
def broken(api_settings: ApiSettings) -> FastAPI:
    """The API with one route that fails in a way that nobody foresaw."""
    app = build(api_settings, catalogue())

    @app.get("/broken")
    async def fail() -> None:
        raise RuntimeError("whsec_hunter2")

    return app


async def test_an_unforeseen_error_is_logged_and_not_told(broken: FastAPI) -> None:
    """The caller gets an id; the operator finds the trace by it."""
    async with serving(broken) as api:
        with structlog.testing.capture_logs() as logs:
            answer = await api.get("/broken")
        metrics = (await api.get("/metrics")).text

    check(answer, 500, "internal_error")
    assert "hunter2" not in answer.text
    (line,) = [line for line in logs if line["event"] == "request.failed"]
    assert line["request_id"] == answer.headers["X-Request-Id"]
    assert isinstance(line["exc_info"], RuntimeError)
    assert 'corral_api_request_seconds_count{method="GET",route="/broken",status="500"} 1.0' in metrics
