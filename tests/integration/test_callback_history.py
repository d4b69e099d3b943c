"""``/v1/callbacks``: every attempt can be looked at, and what was not delivered can be sent again."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from bullmq import Queue
from pydantic import HttpUrl, SecretStr
from standardwebhooks.webhooks import Webhook

from producers.api.app import build
from producers.callbacks.endpoints import Endpoints
from producers.settings import ApiSettings
from schemas.endpoint import EndpointRequest
from schemas.envelope import Callback
from schemas.job_spec import Catalogue
from tests.conftest import serving
from tests.support.callback import CALLBACKS, PINGS, SECRET, tell
from tests.support.callback_sender import SEALING_KEY, callback_sender, desk_of, job_reader
from tests.support.fleet import Fleet, entry, spec, succeed
from tests.support.http_receiver import Answer, HttpReceiver, receiving
from tests.support.until import until
from worker.ports import CallbackSender, JobReader

SPECS: Catalogue = {spec().kind: spec()}
TOKENS = {"acme": SecretStr("a" * 32), "other": SecretStr("b" * 32)}
OTHER = {"Authorization": f"Bearer {'b' * 32}"}


@dataclass
class Scene:
    """Everything that a callback passes."""

    fleet: Fleet
    api: httpx.AsyncClient
    receiver: HttpReceiver
    endpoints: Endpoints
    ports: dict[type, object]

    @property
    def plain(self) -> Callback:
        """A callback to the receiver's address."""
        return Callback(url=HttpUrl(self.receiver.url))

    async def told(self, *answers: Answer, callback: Callback | None = None) -> str:
        """Have a callback sent until it has ended, to a receiver that answers so; give its id."""
        self.receiver.answers = list(answers)
        callback_id = await tell(self.fleet, callback or self.plain)
        async with self.fleet.worker(entry(succeed), CALLBACKS, ports=self.ports):
            await self.fleet.ended(callback_id)
        return callback_id

    async def get(self, path: str, **query: Any) -> dict[str, Any]:  # noqa: ANN401 - as httpx takes them
        """Get JSON."""
        answer = await self.api.get(path, params=query)
        assert answer.status_code == 200, answer.text
        given: dict[str, Any] = answer.json()
        return given


@pytest.fixture
async def scene(fleet: Fleet, api_settings: ApiSettings) -> AsyncIterator[Scene]:
    """A receiver, the API, and what a worker needs."""
    changes = {"sealing_keys": SecretStr(SEALING_KEY), "api_tokens": TOKENS}
    app = build(api_settings.model_copy(update=changes), SPECS)
    desk = desk_of(fleet.redis)
    async with (
        receiving() as receiver,
        serving(app, token="a" * 32) as api,
        callback_sender(fleet, SECRET) as sender,
    ):
        ports: dict[type, object] = {
            CallbackSender: sender,
            JobReader: job_reader(fleet),
        }
        yield Scene(fleet, api, receiver, desk.endpoints, ports)


async def test_every_attempt_can_be_looked_at(scene: Scene) -> None:
    """Time, address, status, latency, answer and what was signed, the oldest first."""
    callback_id = await scene.told(Answer(500, text=f"no, {SECRET}"), Answer(200, text="thanks"))
    found = await scene.get(f"/v1/callbacks/{callback_id}")
    assert (found["state"], found["attempts"], found["status"], found["error"]) == ("delivered", 2, 200, None)
    assert (found["event"], found["kind"], found["url"]) == ("job.completed", "trials.run", scene.receiver.url)
    first, second = found["tries"]
    assert (first["status"], first["answer"], first["error"]["code"]) == (500, "no, [redacted]", "callback_rejected")
    assert (second["status"], second["answer"], second["address"], second["error"]) == (
        200,
        "thanks",
        "127.0.0.1",
        None,
    )
    assert first["latency_s"] > 0
    assert not first["on_request"]
    request = scene.receiver.requests[1]
    signed = f"{callback_id}.{request.headers['webhook-timestamp']}.{request.body.decode()}"
    assert second["signature_base"] == signed
    assert first["at"] < second["at"]


async def test_callbacks_are_listed_by_what_is_asked(scene: Scene) -> None:
    """State, endpoint, job and time; page by page, the one updated last first."""
    delivered = [await scene.told() for _ in range(3)]
    gone = await scene.told(Answer(410))
    new = await scene.endpoints.add("acme", EndpointRequest(url=HttpUrl(scene.receiver.url)))
    registered = await scene.told(callback=Callback(endpoint=new.id))

    async def ids(**query: Any) -> list[str]:  # noqa: ANN401 - as httpx takes them
        return [one["id"] for one in (await scene.get("/v1/callbacks", **query))["callbacks"]]

    whole = [registered, gone, *reversed(delivered)]
    assert await ids() == whole
    assert await ids(state="failed") == [gone]
    assert await ids(endpoint=new.id) == [registered]
    job_id = f"trials_{gone.partition('_')[2]}"
    assert await ids(job_id=job_id) == [gone]
    moment = (await scene.get(f"/v1/callbacks/{gone}"))["updated_at"]
    assert await ids(since=moment) == [registered, gone]
    assert await ids(until=moment) == [gone, *reversed(delivered)]
    pages, cursor = [], None
    for _ in range(6):
        page = await scene.get("/v1/callbacks", limit=2, **({"cursor": cursor} if cursor else {}))
        pages += [one["id"] for one in page["callbacks"]]
        if (cursor := page["next"]) is None:
            break
    assert (pages, cursor) == (whole, None)
    for nonsense in ("nonsense", "nan:x", "-inf:x", ":", "1e999:x"):
        assert await ids(cursor=nonsense) == whole
    assert (await scene.api.get("/v1/callbacks", params={"state": "lost"})).status_code == 422
    assert (await scene.api.get("/v1/callbacks", params={"colour": "red"})).status_code == 422


async def test_another_tenants_callbacks_are_as_good_as_none(scene: Scene) -> None:
    """Neither looked at, nor listed, nor sent again."""
    callback_id = await scene.told(Answer(410))
    for found in (callback_id, "callbacks_none", "x:y", f"{callback_id}:tries"):
        for method, path in (("GET", ""), ("POST", "/replay")):
            answer = await scene.api.request(method, f"/v1/callbacks/{found}{path}", headers=OTHER)
            assert (answer.status_code, answer.json()["code"]) == (404, "callback_missing")
    assert (await scene.api.get("/v1/callbacks", headers=OTHER)).json()["callbacks"] == []
    everything = await scene.api.post("/v1/callbacks/replay", json={"filter": {}}, headers=OTHER)
    assert everything.json() == {"callbacks": [], "skipped": [], "next": None}
    assert await scene.fleet.redis.exists("bull:callbacks:wait") == 0


async def test_a_replay_is_the_same_event_signed_anew(scene: Scene) -> None:
    """Its id and its body are those of before, its secret and its address those of now."""
    new = await scene.endpoints.add("acme", EndpointRequest(url=HttpUrl(scene.receiver.url)))
    callback_id = await scene.told(callback=Callback(endpoint=new.id))
    rotated = await scene.endpoints.rotate("acme", new.id, 0)
    answers = [await scene.api.post(f"/v1/callbacks/{callback_id}/replay") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    jobs = {answer.json()["job_id"] for answer in answers}
    assert len(jobs) == 1, "asked twice before it was tried, it is one replay"
    async with scene.fleet.worker(CALLBACKS, ports=scene.ports):
        await scene.fleet.ended(jobs.pop())
    first, again = scene.receiver.requests
    assert (again.headers["webhook-id"], again.body) == (callback_id, first.body)
    Webhook(str(rotated.secret)).verify(again.body, again.headers)
    found = await scene.get(f"/v1/callbacks/{callback_id}")
    assert [one["on_request"] for one in found["tries"]] == [False, True]
    # The next one is a new wish.
    third = await scene.api.post(f"/v1/callbacks/{callback_id}/replay")
    assert third.json()["job_id"] not in {answer.json()["job_id"] for answer in answers}


async def test_a_replay_that_fails_leaves_a_delivered_callback_delivered(scene: Scene) -> None:
    """It did arrive once; the attempt is there to look at."""
    callback_id = await scene.told()
    scene.receiver.answers = [Answer(400)] * 3
    job_id = (await scene.api.post(f"/v1/callbacks/{callback_id}/replay")).json()["job_id"]
    async with scene.fleet.worker(CALLBACKS, ports=scene.ports):
        await scene.fleet.ended(job_id)
    found = await scene.get(f"/v1/callbacks/{callback_id}")
    assert (found["state"], found["attempts"]) == ("delivered", 4)


async def test_many_are_sent_again_by_a_filter_after_a_dry_run(scene: Scene) -> None:
    """The dry run sends nothing and says which; what is no longer kept is said, and hinders nobody."""
    failed = [await scene.told(Answer(410)) for _ in range(3)]
    await scene.told()
    await Queue("callbacks", {"connection": scene.fleet.redis}).remove(failed[0])
    before = len(scene.receiver.requests)
    dry = await scene.api.post("/v1/callbacks/replay", json={"filter": {"state": "failed"}, "dry_run": True})
    assert (dry.status_code, dry.json()["callbacks"]) == (202, failed[::-1])
    assert await scene.fleet.redis.llen("bull:callbacks:wait") == 0
    done = await scene.api.post("/v1/callbacks/replay", json={"filter": {"state": "failed"}})
    assert done.json() == {"callbacks": failed[::-1], "skipped": [failed[0]], "next": None}
    async with scene.fleet.worker(CALLBACKS, ports=scene.ports):
        await until(lambda: len(scene.receiver.requests) == before + 2)
        await until(lambda: all_delivered(scene, failed[1:]))
    assert {one.headers["webhook-id"] for one in scene.receiver.requests[before:]} == set(failed[1:])


async def all_delivered(scene: Scene, callback_ids: list[str]) -> bool:
    """Tell whether all of these have arrived."""
    states = [(await scene.get(f"/v1/callbacks/{one}"))["state"] for one in callback_ids]
    return set(states) == {"delivered"}


async def test_a_ping_can_be_looked_at_and_not_sent_again(scene: Scene) -> None:
    """Whoever wants another sends another."""
    new = await scene.endpoints.add("acme", EndpointRequest(url=HttpUrl(scene.receiver.url)))
    pinged = await scene.api.post(f"/v1/endpoints/{new.id}/ping")
    assert pinged.status_code == 202
    callback_id = pinged.json()["callback"]
    async with scene.fleet.worker(PINGS, ports=scene.ports):
        await scene.fleet.ended(callback_id)
    found = await scene.get(f"/v1/callbacks/{callback_id}")
    assert (found["event"], found["state"], found["endpoint"]) == ("endpoint.ping", "delivered", new.id)
    refused = await scene.api.post(f"/v1/callbacks/{callback_id}/replay")
    assert (refused.status_code, refused.json()["code"]) == (409, "callback_not_replayable")
