"""``/v1/endpoints``: what a tenant may register, see, change and end, and that nobody else can."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from producers.api.app import build
from producers.callbacks.seal import SealingKeyMissing, new_key
from producers.callbacks.signing_key import SigningKey
from producers.settings import ApiSettings
from schemas.job_spec import Catalogue
from tests.conftest import serving
from tests.support.callback_sender import SEALING_KEY, endpoints_of
from tests.support.fleet import spec

RUN = spec()
SPECS: Catalogue = {RUN.kind: RUN}
URL = "https://hooks.example.com/corral"
NOBODYS = "ep_" + "0" * 26
TOKENS = {"acme": SecretStr("a" * 32), "b:c/d": SecretStr("b" * 32)}


@pytest.fixture
def settings(api_settings: ApiSettings) -> ApiSettings:
    """The API's settings, with a key to keep secrets under."""
    return api_settings.model_copy(update={"sealing_keys": SecretStr(SEALING_KEY)})


@pytest.fixture
async def api(redis: Redis, settings: ApiSettings) -> AsyncIterator[httpx.AsyncClient]:  # noqa: ARG001 - empties the server
    """The API with the tests' kind."""
    async with serving(build(settings, SPECS)) as client:
        yield client


async def added(api: httpx.AsyncClient, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Register an endpoint and give the answer."""
    answer = await api.post("/v1/endpoints", json={"url": URL, **changes})
    assert answer.status_code == 201, answer.text
    given: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/v1/endpoints/{given['id']}"
    return given


async def test_an_endpoint_is_registered_shown_changed_and_deleted(api: httpx.AsyncClient) -> None:
    """Its secret is in the first answer, and never again."""
    new = await added(api, events=["job.failed"], description="the shop")
    assert SigningKey.parse(new.pop("secret")).signature == "hmac-sha256"
    assert new.pop("previous_until") is None
    where = f"/v1/endpoints/{new['id']}"
    assert (await api.get(where)).json() == new
    assert (await api.get("/v1/endpoints")).json() == {"endpoints": [new]}
    assert (new["events"], new["description"], new["concurrency"], new["rate_per_s"]) == (
        ["job.failed"],
        "the shop",
        10,
        None,
    )
    changed = (await api.patch(where, json={"url": f"{URL}/2", "concurrency": 3, "rate_per_s": 2.5})).json()
    assert changed == new | {"url": f"{URL}/2", "concurrency": 3, "rate_per_s": 2.5}
    assert (await api.patch(where, json={"rate_per_s": None, "description": None})).json() == changed | {
        "rate_per_s": None
    }
    assert (await api.delete(where)).status_code == 204
    assert (await api.get("/v1/endpoints")).json() == {"endpoints": []}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("PATCH", "", {"description": "mine now"}),
        ("DELETE", "", None),
        ("POST", "/secret/rotate", None),
        ("POST", "/ping", None),
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
        assert (await acme.get("/v1/endpoints", headers=other)).json() == {"endpoints": []}
        kept = (await acme.get(f"/v1/endpoints/{new['id']}")).json()
        assert kept.items() <= new.items()
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


async def test_a_secret_lies_encrypted_in_the_server(api: httpx.AsyncClient, redis: Redis) -> None:
    """Whoever reads the server reads no secret, and cannot put one in another's place."""
    first, second = await added(api), await added(api)
    raw = await redis.hgetall("corral:bull:endpoints:default")
    assert all(
        one["secret"] not in str(raw) and one["secret"].removeprefix("whsec_") not in str(raw)
        for one in (first, second)
    )
    endpoints = endpoints_of(redis)
    records = [await endpoints.find("default", one["id"]) for one in (first, second)]
    assert [endpoints.signing_keys("default", one)[0].text for one in records] == [first["secret"], second["secret"]]
    swapped = records[0].model_copy(update={"keys": records[1].keys})
    with pytest.raises(SealingKeyMissing):
        endpoints.signing_keys("default", swapped)
    with pytest.raises(SealingKeyMissing):
        endpoints.signing_keys("other", records[0])


async def test_a_private_key_never_leaves_the_server(api: httpx.AsyncClient, redis: Redis) -> None:
    """The receiver needs the public one, which every answer has."""
    new = await added(api, signature="ed25519")
    assert new["secret"] is None
    assert (await api.get(f"/v1/endpoints/{new['id']}")).json()["public_key"] == new["public_key"]
    endpoints = endpoints_of(redis)
    (key,) = endpoints.signing_keys("default", await endpoints.find("default", new["id"]))
    assert key.public == new["public_key"]


async def test_a_rotated_secret_overlaps_with_the_former(api: httpx.AsyncClient, redis: Redis) -> None:
    """Both sign for as long as asked, the newest first, and never more than two."""
    new = await added(api)
    where = f"/v1/endpoints/{new['id']}"
    rotated = (await api.post(f"{where}/secret/rotate")).json()
    assert rotated["previous_until"] is not None
    endpoints = endpoints_of(redis)

    async def keys(seconds: float = 0) -> list[str]:
        later = replace(endpoints, clock=lambda: datetime.now(UTC) + timedelta(seconds=seconds))
        record = await later.find("default", new["id"])
        return [key.text for key in later.signing_keys("default", record)]

    assert await keys() == [rotated["secret"], new["secret"]]
    assert await keys(24 * 3600 - 60) == [rotated["secret"], new["secret"]]
    assert await keys(24 * 3600 + 1) == [rotated["secret"]]
    again = (await api.post(f"{where}/secret/rotate", json={"overlap_s": 60})).json()
    assert await keys() == [again["secret"], rotated["secret"]]
    at_once = (await api.post(f"{where}/secret/rotate", json={"overlap_s": 0})).json()
    assert (await keys(), at_once["previous_until"]) == ([at_once["secret"]], None)


async def test_without_a_sealing_key_nothing_is_registered(redis: Redis, api_settings: ApiSettings) -> None:
    """The answer names the setting that the operator must make."""
    async with serving(build(api_settings, SPECS)) as api:
        answer = await api.post("/v1/endpoints", json={"url": URL})
        assert (answer.status_code, answer.json()["code"]) == (503, "sealing_key_missing")
        assert "CORRAL_SEALING_KEYS" in answer.json()["detail"]
        assert (await api.get("/v1/endpoints")).json() == {"endpoints": []}
    assert await redis.keys("corral:bull:*") == []


async def test_a_sealing_key_is_replaced_without_a_gap(api: httpx.AsyncClient, redis: Redis, tmp_path: Path) -> None:
    """The new key first, the old one behind it; when all is sealed anew the old one can go."""
    new, young = await added(api), new_key()
    file = tmp_path / "keys"
    file.write_text(f"{SEALING_KEY}\n")
    both = endpoints_of(redis, sealing_keys=young, sealing_keys_file=file)
    record = await both.find("default", new["id"])
    assert both.signing_keys("default", record)[0].text == new["secret"]
    alone = endpoints_of(redis, sealing_keys=young)
    with pytest.raises(SealingKeyMissing):
        alone.signing_keys("default", record)
    with pytest.raises(SealingKeyMissing):
        await alone.reseal()
    assert (await both.reseal(), await both.reseal()) == (1, 0)
    assert alone.signing_keys("default", await alone.find("default", new["id"]))[0].text == new["secret"]


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
