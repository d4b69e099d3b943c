"""The secrets of endpoints: encrypted in the server, shown once, replaced without a gap."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from producers.api.app import build
from producers.callbacks.seal import SealingKeyMissing, new_key
from producers.settings import ApiSettings
from tests.conftest import serving
from tests.support.callback_sender import SEALING_KEY, endpoints_of
from tests.support.endpoint_api import SPECS, TOKENS, URL, added, sealing


@pytest.fixture
def settings(api_settings: ApiSettings) -> ApiSettings:
    """The API's settings, with a key to keep secrets under."""
    return sealing(api_settings)


@pytest.fixture
async def api(redis: Redis, settings: ApiSettings) -> AsyncIterator[httpx.AsyncClient]:  # noqa: ARG001 - empties the server
    """The API with the tests' kind."""
    async with serving(build(settings, SPECS)) as client:
        yield client


async def test_a_secret_lies_encrypted_in_the_server(api: httpx.AsyncClient, redis: Redis) -> None:
    """Whoever reads the server reads no secret, and cannot put one in another's place."""
    first, second = await added(api), await added(api)
    raw = await redis.hgetall("corral:bull:endpoints:default")
    assert all(
        one["secret"] not in str(raw) and one["secret"].removeprefix("whsec_") not in str(raw)
        for one in (first, second)
    )
    endpoints = endpoints_of(redis)
    records = [await endpoints.records.find("default", one["id"]) for one in (first, second)]
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
    (key,) = endpoints.signing_keys("default", await endpoints.records.find("default", new["id"]))
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
        record = await later.records.find("default", new["id"])
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
        assert (await api.get("/v1/endpoints")).json() == {"endpoints": [], "origins": []}
    assert await redis.keys("corral:bull:*") == []


async def test_a_sealing_key_is_replaced_without_a_gap(api: httpx.AsyncClient, redis: Redis, tmp_path: Path) -> None:
    """The new key first, the old one behind it; when all is sealed anew the old one can go."""
    new, young = await added(api), new_key()
    file = tmp_path / "keys"
    file.write_text(f"{SEALING_KEY}\n")
    both = endpoints_of(redis, sealing_keys=young, sealing_keys_file=file)
    record = await both.records.find("default", new["id"])
    assert both.signing_keys("default", record)[0].text == new["secret"]
    alone = endpoints_of(redis, sealing_keys=young)
    with pytest.raises(SealingKeyMissing):
        alone.signing_keys("default", record)
    with pytest.raises(SealingKeyMissing):
        await alone.reseal()
    assert (await both.reseal(), await both.reseal()) == (1, 0)
    assert alone.signing_keys("default", await alone.records.find("default", new["id"]))[0].text == new["secret"]


async def test_only_the_operator_seals_anew(redis: Redis, settings: ApiSettings) -> None:  # noqa: ARG001 - empties the server
    """It is about every tenant's secrets."""
    young = SecretStr(f"{new_key()} {SEALING_KEY}")
    tokens = {**TOKENS, "operator": SecretStr("o" * 32)}
    async with serving(build(settings.model_copy(update={"api_tokens": tokens}), SPECS), token="a" * 32) as acme:
        await added(acme)
    changed = settings.model_copy(update={"api_tokens": tokens, "sealing_keys": young})
    async with serving(build(changed, SPECS), token="a" * 32) as acme:
        assert (await acme.post("/v1/endpoints/reseal")).json()["code"] == "operator_only"
        operator = {"Authorization": f"Bearer {'o' * 32}"}
        assert (await acme.post("/v1/endpoints/reseal", headers=operator)).json() == {"resealed": 1}
        (act,) = (await acme.get("/v1/audit", headers=operator)).json()["entries"]
        assert act["act"] == "endpoints.resealed"
