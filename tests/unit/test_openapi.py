"""The description of the API is the API."""

from pathlib import Path
from typing import Any, get_args

import pytest
from fastapi import FastAPI

from producers.api.app import build
from producers.settings import ApiSettings
from schemas.envelope import EventType
from schemas.job_spec import catalogue


@pytest.fixture
def app(tmp_path: Path) -> FastAPI:
    """The API, made and not started."""
    return build(ApiSettings(redis_url="redis://localhost", data_folder=tmp_path), catalogue())


def operations(app: FastAPI) -> dict[tuple[str, str], dict[str, Any]]:
    """Give every operation that is described, by method and path."""
    paths: dict[str, Any] = app.openapi()["paths"]
    return {(method.upper(), path): found for path, methods in paths.items() for method, found in methods.items()}


def test_every_kind_that_callers_may_add_has_a_route_and_no_other(app: FastAPI) -> None:
    """From the specs, without a list."""
    described = {path.rpartition("/")[2] for method, path in operations(app) if method == "POST" and "/jobs/" in path}
    assert described == {kind for kind, spec in catalogue().items() if not spec.internal}


def test_what_is_described_is_what_there_is(app: FastAPI) -> None:
    """Every promised route, and nothing that nobody promised."""
    assert {pair for pair in operations(app) if not pair[1].startswith("/v1/jobs/documents.")} == {
        ("GET", "/v1/jobs/{job_id}"),
        ("DELETE", "/v1/jobs/{job_id}"),
        ("GET", "/v1/jobs/{job_id}/result"),
        ("GET", "/v1/jobs/{job_id}/events"),
        ("GET", "/v1/jobs/{job_id}/logs"),
        ("GET", "/v1/listen"),
        ("POST", "/v1/files"),
        ("GET", "/v1/files/{ref}"),
        ("GET", "/v1/schedules"),
        ("PUT", "/v1/schedules/{schedule_id}"),
        ("GET", "/v1/schedules/{schedule_id}"),
        ("DELETE", "/v1/schedules/{schedule_id}"),
        ("GET", "/v1/endpoints"),
        ("POST", "/v1/endpoints"),
        ("POST", "/v1/endpoints/reseal"),
        ("GET", "/v1/endpoints/{endpoint_id}"),
        ("PATCH", "/v1/endpoints/{endpoint_id}"),
        ("DELETE", "/v1/endpoints/{endpoint_id}"),
        ("POST", "/v1/endpoints/{endpoint_id}/secret/rotate"),
        ("POST", "/v1/endpoints/{endpoint_id}/ping"),
        ("POST", "/v1/endpoints/{endpoint_id}/disable"),
        ("POST", "/v1/endpoints/{endpoint_id}/enable"),
        ("GET", "/v1/callbacks"),
        ("GET", "/v1/callbacks/{callback_id}"),
        ("POST", "/v1/callbacks/{callback_id}/replay"),
        ("POST", "/v1/callbacks/replay"),
        ("GET", "/v1/queues"),
        ("GET", "/v1/queues/{queue}"),
        ("POST", "/v1/queues/{queue}/pause"),
        ("POST", "/v1/queues/{queue}/resume"),
        ("POST", "/v1/queues/{queue}/drain"),
        ("PUT", "/v1/queues/{queue}/limits"),
        ("GET", "/v1/workers"),
        ("POST", "/v1/workers/{worker_id}/drain"),
        ("POST", "/v1/workers/{worker_id}/resume"),
        ("PUT", "/v1/workers/{worker_id}/concurrency"),
        ("GET", "/v1/audit"),
        ("GET", "/livez"),
        ("GET", "/readyz"),
        ("GET", "/version"),
        ("GET", "/metrics"),
    }


def test_every_operation_has_a_name_of_its_own(app: FastAPI) -> None:
    """Generated clients need one."""
    names = [found["operationId"] for found in operations(app).values()]
    assert len(names) == len(set(names))


def test_every_error_is_described_as_a_problem(app: FastAPI) -> None:
    """As it is sent, and the framework's own shape is nowhere."""
    for found in operations(app).values():
        for status, response in found["responses"].items():
            if int(status) >= 400:
                assert list(response["content"]) == ["application/problem+json"]
    assert "HTTPValidationError" not in str(app.openapi())
    assert "code" in app.openapi()["components"]["schemas"]["Problem"]["properties"]


def test_the_description_refers_to_nothing_that_it_lacks(app: FastAPI) -> None:
    """Every reference leads somewhere."""
    names = set(app.openapi()["components"]["schemas"])
    used = {part.partition("'")[0] for part in str(app.openapi()).split("#/components/schemas/")[1:]}
    assert used <= names


def test_the_payload_is_described_field_by_field(app: FastAPI) -> None:
    """Whoever adds a kind has documented it."""
    assert "max_pages" in app.openapi()["components"]["schemas"]["ConvertOptions"]["properties"]


def test_every_event_of_a_callback_is_described(app: FastAPI) -> None:
    """As a webhook, with its body, so that a receiver can be generated."""
    webhooks = app.openapi()["webhooks"]
    assert set(webhooks) == {name for part in get_args(EventType) for name in get_args(part)}
    for name, webhook in webhooks.items():
        body = webhook["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        described = app.openapi()["components"]["schemas"][body]["properties"]
        assert name in described["type"]["enum"]
