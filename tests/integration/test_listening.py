"""Who listens to a tenant's callbacks gets each as it is sent; nobody else does, and without one nothing is kept."""

from collections.abc import AsyncIterator
from functools import partial

import httpx
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis
from standardwebhooks.webhooks import Webhook

from corral.stack import free_port, new_secret
from producers import connection
from producers.api.app import build
from producers.callbacks.signing_key import SigningKey
from producers.listening import KEEP, LISTENING_TTL_S, Listening
from producers.settings import ApiSettings
from schemas.job_spec import catalogue
from schemas.sent_callback import SentCallback
from tests.conftest import serving
from tests.support.asgi_stream import AsgiStream, streaming
from tests.support.http_receiver import receiving
from tests.support.until import until
from worker.adapters.guarded_http import HttpPost
from worker.guarded_client import GuardedClient

TOKENS = {"acme": "the-token-of-acme-0123456789", "umbrella": "the-token-of-umbrella-0123456789"}
ACME = f"Bearer {TOKENS['acme']}"
SECRET = new_secret()
KEYS = [SigningKey.parse(SECRET)]
BODY = '{"type":"job.completed","text":"é\\n"}'.encode()


@pytest.fixture
def listening(redis: Redis) -> Listening:
    """The worker's side."""
    return Listening(redis, prefix="bull")


@pytest.fixture
def app(api_settings: ApiSettings) -> FastAPI:
    """The API for two tenants, with a quick heart."""
    changed = {"api_tokens": TOKENS, "api_heartbeat_s": 0.1}
    return build(ApiSettings.model_validate({**api_settings.model_dump(), **changed}), catalogue())


@pytest.fixture
async def api(redis: Redis, app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of it, without a token."""
    await redis.ping()
    async with serving(app) as client:
        yield client


def sent(number: int = 0) -> SentCallback:
    """A callback."""
    return SentCallback(url="https://example.org/", headers={"webhook-id": f"id-{number}"}, body=str(number))


async def heard(stream: AsgiStream) -> tuple[str, SentCallback]:
    """Give the next callback of a stream, and its place."""
    event = await stream.event()
    assert event is not None
    assert event["event"] == "callback", event
    return event["id"], SentCallback.model_validate_json(event["data"])


async def begun(stream: AsgiStream) -> None:
    """See that a stream begins by saying so."""
    event = await stream.event()
    assert event is not None
    assert event["event"] == "listening"


async def test_without_a_listener_nothing_is_kept(redis: Redis, listening: Listening) -> None:
    """A callback costs one look."""
    await listening.tell("acme", sent())
    assert await redis.keys("*") == []


@pytest.mark.usefixtures("api")
async def test_what_is_heard_is_what_the_receiver_gets(app: FastAPI, listening: Listening) -> None:
    """Byte for byte: id, time, signature and body; no secret is among it."""
    async with (
        receiving() as receiver,
        GuardedClient(allow_loopback=True) as client,
        streaming(app, "/v1/listen", Authorization=ACME) as stream,
    ):
        await begun(stream)
        await HttpPost(client)(receiver.url, KEYS, "callbacks_1", BODY, partial(listening.tell, "acme"))
        _, callback = await heard(stream)
    (request,) = receiver.requests
    assert callback.body.encode() == request.body == BODY
    assert callback.url == receiver.url
    assert callback.headers.items() <= request.headers.items()
    assert set(callback.headers) == {"content-type", "webhook-id", "webhook-timestamp", "webhook-signature"}
    assert Webhook(SECRET).verify(callback.body, callback.headers)
    assert SECRET.removeprefix("whsec_") not in callback.model_dump_json()


@pytest.mark.usefixtures("api")
async def test_what_cannot_be_reached_from_the_server_is_heard(app: FastAPI, listening: Listening) -> None:
    """An address of one's own laptop is refused there, and that is what listening is for."""
    async with (
        GuardedClient(allow_loopback=False) as client,
        streaming(app, "/v1/listen", Authorization=ACME) as stream,
    ):
        await begun(stream)
        tell = partial(listening.tell, "acme")
        told = await HttpPost(client)("http://localhost:3000/", KEYS, "callbacks_1", BODY, tell)
        assert told.error is not None
        assert told.error.code == "callback_refused"
        assert (await heard(stream))[1].headers["webhook-id"] == "callbacks_1"


@pytest.mark.usefixtures("api")
async def test_a_tenant_hears_its_own_and_nothing_else(app: FastAPI, listening: Listening) -> None:
    """Whoever else listens at the same time."""
    async with (
        streaming(app, "/v1/listen", Authorization=ACME) as acme,
        streaming(app, "/v1/listen", Authorization=f"Bearer {TOKENS['umbrella']}") as umbrella,
    ):
        await begun(acme)
        await begun(umbrella)
        await listening.tell("umbrella", sent(1))
        await listening.tell("acme", sent(2))
        assert (await heard(acme))[1] == sent(2)
        assert (await heard(umbrella))[1] == sent(1)


async def test_a_stranger_hears_nothing(api: httpx.AsyncClient, redis: Redis) -> None:
    """And is no reason to keep anything."""
    answer = await api.get("/v1/listen")
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert await redis.keys("corral:*") == []


@pytest.mark.usefixtures("api")
async def test_a_stream_goes_on_where_it_broke(app: FastAPI, listening: Listening) -> None:
    """What was sent in between comes first, nothing twice; without a place one hears what is sent from now on."""
    async with streaming(app, "/v1/listen", Authorization=ACME) as first:
        await begun(first)
        await listening.tell("acme", sent(1))
        place, _ = await heard(first)
    await listening.tell("acme", sent(2))
    async with streaming(app, "/v1/listen", Authorization=ACME, Last_Event_ID=place) as again:
        await begun(again)
        assert (await heard(again))[1] == sent(2)
    async with streaming(app, "/v1/listen", Authorization=ACME) as anew:
        await begun(anew)
        await listening.tell("acme", sent(3))
        assert (await heard(anew))[1] == sent(3)


@pytest.mark.usefixtures("api")
async def test_only_the_newest_are_kept_and_not_for_long(redis: Redis, listening: Listening) -> None:
    """A listener that sleeps costs the server 4 MB at the most, and nothing a minute later."""
    place = await listening.begin("acme")
    for number in range(KEEP + 5):
        await listening.tell("acme", sent(number))
    assert await redis.xlen("corral:bull:sent:acme") == KEEP
    assert 0 < await redis.ttl("corral:bull:sent:acme") <= 60
    assert 0 < await redis.ttl("corral:bull:listening:acme") <= LISTENING_TTL_S
    assert [callback for _, callback in await listening.since("acme", place)] == [sent(n) for n in range(5, 55)]


async def test_so_many_listen_and_no_more(app: FastAPI, api: httpx.AsyncClient) -> None:
    """The fifth of a tenant is told to wait, and may come when one has left; another tenant may at once."""
    api.headers["Authorization"] = ACME
    streams = [streaming(app, "/v1/listen", Authorization=ACME) for _ in range(4)]
    for stream in streams:
        await stream.__aenter__()
    refused = await api.get("/v1/listen")
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_listeners")
    assert int(refused.headers["Retry-After"]) > 0
    async with streaming(app, "/v1/listen", Authorization=f"Bearer {TOKENS['umbrella']}") as other:
        await begun(other)
    for stream in streams:
        await stream.__aexit__(None, None, None)
    async with streaming(app, "/v1/listen", Authorization=ACME) as late:
        await begun(late)


@pytest.mark.usefixtures("api")
async def test_a_quiet_stream_lives_and_ends_with_the_process(app: FastAPI) -> None:
    """It says so as often as the API's heart beats; nobody who stops the API waits for it."""
    async with streaming(app, "/v1/listen", Authorization=ACME) as stream:
        await begun(stream)
        assert await stream.block() == ": still there"
        app.state.listeners.ending.set()
        await until(lambda: app.state.listeners.tenants.total() == 0)
        while (block := await stream.block()) is not None:
            assert block == ": still there"


@pytest.mark.parametrize("place", ["x", "1", "1-", "-1", "1-1-1", "9" * 16 + "-1"])
async def test_a_place_that_is_none_is_refused(api: httpx.AsyncClient, place: str) -> None:
    """It would reach the server as it is."""
    answer = await api.get("/v1/listen", headers={"Authorization": ACME, "Last-Event-ID": place})
    assert (answer.status_code, answer.json()["code"]) == (422, "payload_invalid")


async def test_without_the_server_a_callback_is_sent_all_the_same() -> None:
    """Nobody hears it."""
    async with connection.fail_fast(f"redis://127.0.0.1:{free_port()}") as redis:
        await Listening(redis, prefix="bull").tell("acme", sent())


async def test_a_stream_outlives_an_outage_and_a_new_one_is_refused(
    app: FastAPI, api: httpx.AsyncClient, redis: Redis, listening: Listening
) -> None:
    """A listener that is there hears what is sent afterwards; one that comes meanwhile is told to try again."""
    async with streaming(app, "/v1/listen", Authorization=ACME) as stream:
        await begun(stream)
        # Longer than a look may take.
        await redis.client_pause(2_000)
        refused = await api.get("/v1/listen", headers={"Authorization": ACME})
        assert (refused.status_code, refused.json()["code"]) == (503, "engine_unavailable")
        assert app.state.listeners.tenants.total() == 1
        await redis.ping()
        await listening.tell("acme", sent(7))
        assert (await heard(stream))[1] == sent(7)
