"""``/v1/schedules``: what a tenant may put, see and end."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from producers.api.app import build
from producers.engine.schedulers import EngineSchedules
from producers.schedules import Schedules
from producers.settings import ApiSettings
from schemas.job_spec import Catalogue
from schemas.jobs.schedules import FIRE
from schemas.schedule import Cron, Schedule
from tests.conftest import serving
from tests.support.fleet import Trial, spec

RUN = spec()
SPECS: Catalogue = {RUN.kind: RUN, FIRE.kind: FIRE}
YEARLY = Cron(cron="0 0 1 1 *", timezone="Europe/Zurich")


@pytest.fixture
def schedules(redis: Redis) -> Schedules:
    """Every tenant's schedules."""
    return Schedules(EngineSchedules(redis, prefix="bull", spec=FIRE, keep_finished_s=3600), SPECS)


@pytest.fixture
async def api(redis: Redis, api_settings: ApiSettings) -> AsyncIterator[httpx.AsyncClient]:  # noqa: ARG001 - empty
    """The API with the tests' kind."""
    app = build(api_settings, SPECS)
    async with serving(app) as client:
        # The product declares none: whatever its start would remove is gone before the test begins.
        await app.state.declaring
        yield client


def body(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """A request that is accepted, with changes."""
    return {"kind": RUN.kind, "payload": {"text": "tick"}, "when": YEARLY.model_dump(), **changes}


async def test_the_api_keeps_shows_and_ends_schedules(api: httpx.AsyncClient) -> None:
    """PUT, GET, the list, DELETE; the next time is the zone's, in UTC."""
    put = await api.put("/v1/schedules/yearly", json=body())
    assert put.status_code == 200
    assert put.json()["next_at"].endswith("-12-31T23:00:00Z")
    assert (put.json()["origin"], put.json()["fired"]) == ("api", 0)
    assert (await api.put("/v1/schedules/yearly", json=body())).json() == put.json()
    assert (await api.get("/v1/schedules/yearly")).json() == put.json()
    assert (await api.get("/v1/schedules")).json() == {"schedules": [put.json()]}
    changed = await api.put("/v1/schedules/yearly", json=body(when={"cron": "0 0 1 1 *"}))
    assert changed.json()["next_at"].endswith("-01-01T00:00:00Z")
    assert (await api.delete("/v1/schedules/yearly")).status_code == 204
    assert (await api.delete("/v1/schedules/yearly")).json()["code"] == "schedule_missing"
    assert (await api.get("/v1/schedules/yearly")).status_code == 404


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"payload": {"number": "many"}}, 422, "payload_invalid"),
        ({"kind": "trials.none"}, 404, "unknown_kind"),
        ({"kind": FIRE.kind}, 404, "unknown_kind"),
        ({"when": {"cron": "0 0 30 2 *"}}, 422, "payload_invalid"),
        ({"when": {"cron": "0 0 1 1 *", "timezone": "Mars/Olympus"}}, 422, "payload_invalid"),
        ({"when": {"every_s": 0}}, 422, "payload_invalid"),
        ({"when": {"cron": "* * * * *", "every_s": 5}}, 422, "payload_invalid"),
    ],
)
async def test_a_schedule_that_could_not_work_is_refused(
    api: httpx.AsyncClient, changes: dict[str, Any], status: int, code: str
) -> None:
    """When it is put, not when it fires."""
    answer = await api.put("/v1/schedules/wrong", json=body(**changes))
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert (await api.get("/v1/schedules")).json() == {"schedules": []}


async def test_what_the_code_declares_is_the_codes(api: httpx.AsyncClient, schedules: Schedules) -> None:
    """The API shows it and neither replaces nor removes it."""
    await schedules.declare([Schedule("nightly", RUN, Trial(), YEARLY)])
    assert (await api.put("/v1/schedules/nightly", json=body())).json()["code"] == "schedule_declared"
    assert (await api.delete("/v1/schedules/nightly")).status_code == 409
    assert (await api.get("/v1/schedules/nightly")).json()["origin"] == "declared"


async def test_tenants_do_not_see_each_others_schedules(redis: Redis, api_settings: ApiSettings) -> None:
    """The same id is two schedules of two tenants."""
    settings = api_settings.model_copy(update={"api_tokens": {"acme": SecretStr("a" * 32), "b.c": SecretStr("b" * 32)}})
    app = build(settings, SPECS)
    async with serving(app, token="a" * 32) as acme:
        await acme.put("/v1/schedules/same", json=body())
        other = {"Authorization": f"Bearer {'b' * 32}"}
        assert (await acme.get("/v1/schedules/same", headers=other)).status_code == 404
        await acme.put("/v1/schedules/same", json=body(payload={"text": "b"}), headers=other)
        assert (await acme.get("/v1/schedules/same")).json()["payload"] == {"text": "tick"}
        assert len((await acme.get("/v1/schedules", headers=other)).json()["schedules"]) == 1
    assert await redis.zcard("bull:schedules:repeat") == 2
