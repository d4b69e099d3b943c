"""What happens to a job, as a stream: nothing twice, nothing lost, the final state last."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis

from producers.api.app import build
from producers.settings import ApiSettings
from schemas.job_spec import catalogue
from tests.conftest import serving
from tests.support.asgi_stream import AsgiStream, streaming
from tests.support.until import until

BODY = {"payload": {"source": {"file": f"sha256-{'0' * 64}"}}}
STREAM = "bull:documents:events"
HEARTBEAT_S = 0.2


@pytest.fixture
def app(api_settings: ApiSettings) -> FastAPI:
    """The API with a quick heart."""
    settings = ApiSettings.model_validate({**api_settings.model_dump(), "api_heartbeat_s": HEARTBEAT_S})
    return build(settings, catalogue())


@pytest.fixture
async def api(redis: Redis, app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of it. When the test ends, no reader may be left."""
    assert await redis.ping()
    async with serving(app) as client:
        yield client
        await until(lambda: readers() == [])


@pytest.fixture
async def job_id(api: httpx.AsyncClient) -> str:
    """A job that waits."""
    return str((await api.post("/v1/jobs/documents.convert", json=BODY)).json()["id"])


def readers() -> list[str]:
    """Give the names of the tasks that read a stream of the engine."""
    return [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("events of ")]


async def progress(redis: Redis, job_id: str, done: int) -> str:
    """Report progress, as a worker does."""
    data = json.dumps({"done": done, "total": 9, "unit": "pages"})
    await redis.hset(f"bull:documents:{job_id}", "progress", data)
    return str(await redis.xadd(STREAM, {"event": "progress", "jobId": job_id, "data": data}))


async def start(redis: Redis, job_id: str) -> None:
    """Take the job, as a worker does."""
    await redis.lmove("bull:documents:wait", "bull:documents:active")
    await redis.hset(f"bull:documents:{job_id}", mapping={"processedOn": "1700000000500", "ats": "1"})
    await redis.xadd(STREAM, {"event": "active", "jobId": job_id, "prev": "waiting"})


async def complete(redis: Redis, job_id: str) -> None:
    """Complete the job, as the engine's script does: in one step."""
    async with redis.pipeline(transaction=True) as pipe:
        pipe.lrem("bull:documents:active", 0, job_id)
        pipe.lrem("bull:documents:wait", 0, job_id)
        pipe.zadd("bull:documents:completed", {job_id: 1700000001000})
        pipe.hset(f"bull:documents:{job_id}", mapping={"finishedOn": "1700000001000", "returnvalue": "{}"})
        pipe.xadd(STREAM, {"event": "completed", "jobId": job_id, "returnvalue": "{}"})
        await pipe.execute()


async def said(stream: AsgiStream) -> tuple[str, object]:
    """Give the next event in short: a state's name, or how much is done."""
    event = await stream.event()
    assert event is not None, "the stream has ended"
    content = json.loads(event["data"])
    return event["event"], content["state"] if event["event"] == "state" else content["done"]


def path(job_id: str) -> str:
    """Give the address of a job's events."""
    return f"/v1/jobs/{job_id}/events"


async def test_a_job_is_followed_to_its_end(app: FastAPI, redis: Redis, job_id: str) -> None:
    """First the state, then progress as it comes, the final state last; then the stream ends."""
    async with streaming(app, path(job_id)) as stream:
        assert stream.status == 200
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.headers["cache-control"] == "no-store"
        assert await said(stream) == ("state", "waiting")
        await start(redis, job_id)
        assert await said(stream) == ("state", "active")
        for done in (1, 2):
            await progress(redis, job_id, done)
            assert await said(stream) == ("progress", done)
        await complete(redis, job_id)
        assert await said(stream) == ("state", "completed")
        assert await stream.event() is None


async def test_a_job_that_has_ended_is_told_at_once(app: FastAPI, redis: Redis, job_id: str) -> None:
    """One event, then the end; a browser that connects again is told to stop."""
    await complete(redis, job_id)
    async with streaming(app, path(job_id)) as stream:
        event = await stream.event()
        assert event is not None
        assert json.loads(event["data"])["state"] == "completed"
        assert await stream.event() is None
    async with streaming(app, path(job_id), Last_Event_ID=event["id"]) as again:
        assert again.status == 204
        assert await again.event() is None


async def test_a_stream_goes_on_where_it_broke(app: FastAPI, redis: Redis, job_id: str) -> None:
    """Every event between the two is given once, and none that was there before."""
    async with streaming(app, path(job_id)) as stream:
        await said(stream)
        await start(redis, job_id)
        await said(stream)
        await progress(redis, job_id, 1)
        event = await stream.event()
        assert event is not None
    await progress(redis, job_id, 2)
    await redis.xadd(STREAM, {"event": "progress", "jobId": "another", "data": '{"done": 7, "total": 9}'})
    await progress(redis, job_id, 3)

    async with streaming(app, path(job_id), Last_Event_ID=event["id"]) as stream:
        assert await said(stream) == ("progress", 2)
        assert await said(stream) == ("progress", 3)
        await progress(redis, job_id, 4)
        assert await said(stream) == ("progress", 4)
        await complete(redis, job_id)
        assert await said(stream) == ("state", "completed")
        assert await stream.event() is None


async def test_an_end_that_was_missed_is_told(app: FastAPI, redis: Redis, job_id: str) -> None:
    """The progress in between first, the final state last."""
    seen = await progress(redis, job_id, 1)
    await progress(redis, job_id, 2)
    await complete(redis, job_id)
    async with streaming(app, path(job_id), Last_Event_ID=seen) as stream:
        assert await said(stream) == ("progress", 2)
        assert await said(stream) == ("state", "completed")
        assert await stream.event() is None


@pytest.mark.parametrize("emptied", [False, True])
async def test_an_id_that_is_too_old_gives_the_present_state(
    app: FastAPI, redis: Redis, job_id: str, *, emptied: bool
) -> None:
    """The engine trims its stream: what cannot be told in full is told as it is now."""
    seen = await progress(redis, job_id, 1)
    await progress(redis, job_id, 2)
    await redis.xtrim(STREAM, maxlen=0 if emptied else 1, approximate=False)
    async with streaming(app, path(job_id), Last_Event_ID=seen) as stream:
        event = await stream.event()
        assert event is not None
        assert event["event"] == "state"
        assert json.loads(event["data"])["progress"] == {"done": 2, "total": 9, "unit": "pages"}
        await progress(redis, job_id, 3)
        assert await said(stream) == ("progress", 3)


@pytest.mark.parametrize("bad", ["x", "1", "1-2-3", "-1-0", "99999999999999999-0", "1-0-end"])
async def test_an_id_that_is_none_is_refused(api: httpx.AsyncClient, job_id: str, bad: str) -> None:
    """422: whoever made it up has a mistake to find."""
    answer = await api.get(path(job_id), headers={"Last-Event-ID": bad})
    assert (answer.status_code, answer.json()["code"]) == (422, "payload_invalid")


async def test_silence_is_broken_by_a_heartbeat(app: FastAPI, job_id: str) -> None:
    """A comment, so that no proxy takes a quiet job for a dead line."""
    async with streaming(app, path(job_id)) as stream:
        await said(stream)
        for _ in range(2):
            assert (await stream.block(within_s=5 * HEARTBEAT_S) or "").startswith(": ")


async def test_what_no_event_tells_is_seen_at_the_next_heartbeat(
    app: FastAPI, api: httpx.AsyncClient, job_id: str
) -> None:
    """A waiting job that is cancelled emits nothing."""
    async with streaming(app, path(job_id)) as stream:
        await said(stream)
        await api.delete(f"/v1/jobs/{job_id}")
        assert await said(stream) == ("state", "cancelled")
        assert await stream.event() is None


async def test_a_removed_job_ends_the_stream(app: FastAPI, redis: Redis, job_id: str) -> None:
    """There is nothing left to tell."""
    async with streaming(app, path(job_id)) as stream:
        await said(stream)
        await redis.delete(f"bull:documents:{job_id}")
        await redis.lrem("bull:documents:wait", 0, job_id)
        assert await stream.event() is None


@pytest.mark.parametrize("data", ["42", "[[", '"halfway"', '{"step": 1}', "NaN"])
async def test_progress_of_another_program_does_not_break_the_stream(
    app: FastAPI, redis: Redis, job_id: str, data: str
) -> None:
    """A percentage is translated, what cannot be understood is left out."""
    async with streaming(app, path(job_id)) as stream:
        await said(stream)
        await redis.xadd(STREAM, {"event": "progress", "jobId": job_id, "data": data})
        await progress(redis, job_id, 5)
        if data == "42":
            assert await said(stream) == ("progress", 42)
        assert await said(stream) == ("progress", 5)


async def test_many_who_follow_one_job_share_one_reader(app: FastAPI, redis: Redis, job_id: str) -> None:
    """Fifty callers, one blocking read; each hears everything; the last to leave stops it."""
    streams = [AsgiStream(app, path(job_id), {}) for _ in range(50)]
    await asyncio.gather(*(stream.begun() for stream in streams))
    await asyncio.gather(*(said(stream) for stream in streams))
    assert readers() == ["events of documents"]

    await progress(redis, job_id, 1)
    assert await asyncio.gather(*(said(stream) for stream in streams)) == [("progress", 1)] * 50

    before = {task for task in asyncio.all_tasks() if task not in {stream.task for stream in streams}}
    for stream in streams[:-1]:
        await stream.hang_up()
    assert readers() == ["events of documents"]
    await streams[-1].hang_up()
    await until(lambda: readers() == [])
    await until(lambda: len(asyncio.all_tasks() - before) == 0)


async def test_the_server_that_stops_ends_the_reading(redis: Redis, app: FastAPI) -> None:
    """Also while somebody listens."""
    async with serving(app) as client:
        job_id = (await client.post("/v1/jobs/documents.convert", json=BODY)).json()["id"]
        stream = AsgiStream(app, path(job_id), {})
        await said(await stream.begun())
        assert readers() == ["events of documents"]
    assert readers() == []
    await stream.hang_up()
    assert await redis.ping()
