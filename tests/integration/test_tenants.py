"""A tenant sees its own and nothing else; another's is as good as none."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis

from producers.api.app import build
from producers.settings import ApiSettings
from schemas.job_spec import catalogue
from tests.conftest import serving

TOKENS = {"acme": "the-token-of-acme-0123456789", "umbrella": "the-token-of-umbrella-0123456789"}
BODY = {"payload": {"source": {"file": f"sha256-{'0' * 64}"}}}
ROUTE = "/v1/jobs/documents.convert"


@pytest.fixture
async def app(redis: Redis, api_settings: ApiSettings) -> FastAPI:
    """The API for two tenants, on an empty server."""
    assert await redis.dbsize() == 0
    settings = ApiSettings.model_validate({**api_settings.model_dump(), "api_tokens": TOKENS})
    return build(settings, catalogue())


@pytest.fixture
async def clients(app: FastAPI) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient, httpx.AsyncClient]]:
    """A client of each tenant, and one without a token."""
    async with AsyncExitStack() as stack:
        acme = await stack.enter_async_context(serving(app, token=TOKENS["acme"]))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        headers = {"Authorization": f"Bearer {TOKENS['umbrella']}"}
        umbrella = httpx.AsyncClient(transport=transport, base_url="http://api.example", headers=headers)
        stranger = httpx.AsyncClient(transport=transport, base_url="http://api.example")
        yield acme, await stack.enter_async_context(umbrella), await stack.enter_async_context(stranger)


Clients = tuple[httpx.AsyncClient, httpx.AsyncClient, httpx.AsyncClient]


@pytest.mark.parametrize(
    ("method", "part"), [("GET", ""), ("GET", "/result"), ("GET", "/events"), ("GET", "/logs"), ("DELETE", "")]
)
async def test_anothers_job_is_not_found(clients: Clients, method: str, part: str) -> None:
    """By no route, and with the same answer as for a job that never was."""
    acme, umbrella, _ = clients
    job_id = (await acme.post(ROUTE, json=BODY)).json()["id"]

    foreign = await umbrella.request(method, f"/v1/jobs/{job_id}{part}")
    never = await umbrella.request(method, f"/v1/jobs/documents_0{part}")

    assert foreign.status_code == never.status_code == 404
    assert foreign.json()["code"] == never.json()["code"] == "job_not_found"
    assert (await acme.get(f"/v1/jobs/{job_id}")).json()["state"] == "waiting"


async def test_anothers_file_is_not_found(clients: Clients) -> None:
    """Also when its reference is known; and the same bytes are new for each tenant."""
    acme, umbrella, _ = clients
    uploaded = await acme.post("/v1/files", content=b"acme's")
    ref = uploaded.json()["ref"]

    assert (await umbrella.get(f"/v1/files/{ref}")).json()["code"] == "file_missing"
    assert (await umbrella.post("/v1/files", content=b"acme's")).status_code == 201
    assert (await umbrella.get(f"/v1/files/{ref}")).content == b"acme's"


async def test_the_same_key_of_two_tenants_is_two_jobs(clients: Clients) -> None:
    """A key is the tenant's own."""
    answers = [await client.post(ROUTE, json=BODY, headers={"Idempotency-Key": "1"}) for client in clients[:2]]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert len({answer.json()["id"] for answer in answers}) == 2


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", ROUTE),
        ("POST", "/v1/jobs/unknown.kind"),
        ("POST", "/v1/files"),
        ("GET", f"/v1/files/sha256-{'0' * 64}"),
        ("GET", "/v1/jobs/documents_0"),
        ("DELETE", "/v1/jobs/documents_0"),
    ],
)
@pytest.mark.parametrize("header", [None, "Bearer unknown", "Basic abc", "Bearer ", "the-token-of-acme-0123456789"])
async def test_a_stranger_is_told_to_send_a_token(clients: Clients, method: str, path: str, header: str | None) -> None:
    """Before anything else is looked at."""
    headers = {"Authorization": header} if header else {}
    answer = await clients[2].request(method, path, json=BODY if method == "POST" else None, headers=headers)
    assert answer.status_code == 401
    assert answer.json()["code"] == "unauthorized"
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_with_tokens_any_host_is_served(clients: Clients) -> None:
    """Then the token is the guard."""
    assert (await clients[0].get("/livez", headers={"Host": "api.example"})).status_code == 200
