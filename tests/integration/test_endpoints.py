"""``/v1/endpoints``: what a tenant may register, see, change and end, and that nobody else can."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from producers.api.app import build
from producers.callbacks.gate import Gate, Pass, Sent, Target
from producers.callbacks.signing_key import SigningKey
from producers.settings import ApiSettings
from tests.conftest import serving
from tests.support.endpoint_api import RUN, SPECS, TOKENS, URL, added, sealing

NOBODYS = "ep_" + "0" * 26


@pytest.fixture
def settings(api_settings: ApiSettings) -> ApiSettings:
    """The API's settings, with a key to keep secrets under."""
    return sealing(api_settings)


@pytest.fixture
async def api(redis: Redis, settings: ApiSettings) -> AsyncIterator[httpx.AsyncClient]:  # noqa: ARG001 - empties the server
    """The API with the tests' kind."""
    async with serving(build(settings, SPECS)) as client:
        yield client


async def test_an_endpoint_is_registered_shown_changed_and_deleted(api: httpx.AsyncClient) -> None:
    """Its secret is in the first answer, and never again."""
    new = await added(api, events=["job.failed"], description="the shop")
    assert SigningKey.parse(new.pop("secret")).signature == "hmac-sha256"
    assert new.pop("previous_until") is None
    where = f"/v1/endpoints/{new['id']}"
    shown = (await api.get(where)).json()
    assert shown["health"]["breaker"] == "closed"
    assert shown | {"health": None} == new
    assert (await api.get("/v1/endpoints")).json() == {"endpoints": [new], "origins": []}
    assert (new["events"], new["description"], new["concurrency"], new["rate_per_s"]) == (
        ["job.failed"],
        "the shop",
        25,
        None,
    )
    changed = (await api.patch(where, json={"url": f"{URL}/2", "concurrency": 3, "rate_per_s": 2.5})).json()
    assert changed == new | {"url": f"{URL}/2", "concurrency": 3, "rate_per_s": 2.5}
    assert (await api.patch(where, json={"rate_per_s": None, "description": None})).json() == changed | {
        "rate_per_s": None
    }
    assert (await api.delete(where)).status_code == 204
    assert (await api.get("/v1/endpoints")).json() == {"endpoints": [], "origins": []}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("PATCH", "", {"description": "mine now"}),
        ("DELETE", "", None),
        ("POST", "/secret/rotate", None),
        ("POST", "/ping", None),
        ("POST", "/disable", None),
        ("POST", "/enable", None),
    ],
)
async def test_another_tenants_endpoint_is_as_good_as_none(
    redis: Redis, settings: ApiSettings, method: str, path: str, body: object
) -> None:
    """Every route says 404, as for an id that nobody has, and nothing has changed."""
    async with serving(build(settings.model_copy(update={"api_tokens": TOKENS}), SPECS), token="a" * 32) as acme:
        new = await added(acme)
        other = {"Authorization": f"Bearer {'b' * 32}"}
        for endpoint_id in (new["id"], NOBODYS, "ep_x", "x" * 64):
            answer = await acme.request(method, f"/v1/endpoints/{endpoint_id}{path}", json=body, headers=other)
            assert (answer.status_code, answer.json()["code"]) == (404, "endpoint_missing")
        assert (await acme.get("/v1/endpoints", headers=other)).json() == {"endpoints": [], "origins": []}
        kept = (await acme.get(f"/v1/endpoints/{new['id']}")).json()
        assert kept | {"health": None} == {name: value for name, value in new.items() if name in kept}
        stranger = await acme.request(
            method, f"/v1/endpoints/{new['id']}{path}", json=body, headers={"Authorization": ""}
        )
        assert stranger.status_code == 401
    assert await redis.exists("bull:callbacks:wait") == 0


@pytest.mark.parametrize(
    "change",
    [
        {"url": "ftp://example.com/"},
        {"url": "https://user:word@example.com/"},
        {"url": "https://user@example.com/"},
        {"url": "hooks"},
        {"url": "https://example.com/" + "x" * 3_000},
        {"events": []},
        {"events": ["job.invented"]},
        {"concurrency": 0},
        {"concurrency": 101},
        {"rate_per_s": 0},
        {"rate_per_s": "NaN"},
        {"description": "x" * 501},
        {"signature": "md5"},
        {"secret": "whsec_mine"},
    ],
)
async def test_an_endpoint_that_could_not_work_is_refused(api: httpx.AsyncClient, change: dict[str, Any]) -> None:
    """When it is registered, and when it is changed."""
    assert (await api.post("/v1/endpoints", json={"url": URL, **change})).json()["code"] == "payload_invalid"
    new = await added(api)
    answer = await api.patch(f"/v1/endpoints/{new['id']}", json=change)
    assert (answer.status_code, answer.json()["code"]) == (422, "payload_invalid")


async def test_a_tenant_has_no_more_than_a_hundred(api: httpx.AsyncClient, redis: Redis) -> None:
    """Whoever registers without end fills the server."""
    await redis.hset("corral:bull:endpoints:default", mapping={f"ep_{number}": "{}" for number in range(100)})
    answer = await api.post("/v1/endpoints", json={"url": URL})
    assert (answer.status_code, answer.json()["code"]) == (409, "endpoint_limit_reached")


async def test_two_changes_at_once_are_both_made(api: httpx.AsyncClient) -> None:
    """Neither undoes the other."""
    where = f"/v1/endpoints/{(await added(api))['id']}"
    changes: list[dict[str, Any]] = [{"description": "new"}, {"concurrency": 7}, {"rate_per_s": 5}, {"url": f"{URL}/2"}]
    await asyncio.gather(*(api.patch(where, json=change) for change in changes))
    kept = (await api.get(where)).json()
    assert all(change.items() <= kept.items() for change in changes)


async def test_a_job_names_an_endpoint_of_its_tenant(api: httpx.AsyncClient) -> None:
    """One that is not there is refused when the job is added, not when it has ended."""
    new = await added(api)
    add = f"/v1/jobs/{RUN.kind}"
    accepted = await api.post(add, json={"payload": {}, "callback": {"endpoint": new["id"]}})
    assert accepted.status_code == 202, accepted.text
    unknown = await api.post(add, json={"payload": {}, "callback": {"endpoint": NOBODYS}})
    assert (unknown.status_code, unknown.json()["code"]) == (422, "payload_invalid")
    assert "callback.endpoint" in unknown.json()["detail"]
    for callback in ({}, {"url": URL, "endpoint": new["id"]}, {"endpoint": "x"}, {"url": "https://a:b@example.com/"}):
        assert (await api.post(add, json={"payload": {}, "callback": callback})).status_code == 422
    when = {"kind": RUN.kind, "when": {"every_s": 3600}, "callback": {"endpoint": NOBODYS}}
    assert (await api.put("/v1/schedules/hourly", json=when)).status_code == 422


async def test_an_endpoint_is_disabled_and_enabled(api: httpx.AsyncClient) -> None:
    """Its owner sees when, and why."""
    where = f"/v1/endpoints/{(await added(api))['id']}"
    disabled = (await api.post(f"{where}/disable")).json()["disabled"]
    assert disabled["reason"] == "asked"
    assert (await api.post(f"{where}/disable")).json()["disabled"] == disabled
    assert (await api.get(where)).json()["disabled"] == disabled
    assert (await api.post(f"{where}/enable")).status_code == 204
    assert (await api.get("/v1/endpoints")).json()["endpoints"][0]["disabled"] is None
    await api.post(f"{where}/disable")
    assert (await api.delete(where)).status_code == 204


async def test_an_origin_that_was_disabled_is_shown_and_enabled(api: httpx.AsyncClient, redis: Redis) -> None:
    """Nobody has registered it, so nobody else would."""
    target = Target("default", "origin_1", origin="https://example.com:443")
    gate = Gate(redis, prefix="bull")
    found = await gate.enter(target, "j", datetime.now(UTC))
    assert isinstance(found, Pass)
    assert await gate.leave(target, Sent("j", "gone", probe=False)) == "disabled"
    (origin,) = (await api.get("/v1/endpoints")).json()["origins"]
    assert (origin["id"], origin["origin"], origin["disabled"]["reason"]) == ("origin_1", target.origin, "gone")
    assert (await api.post("/v1/endpoints/origin_1/enable")).status_code == 204
    assert (await api.get("/v1/endpoints")).json()["origins"] == []
    assert (await api.post("/v1/endpoints/origin_1/enable")).status_code == 404
