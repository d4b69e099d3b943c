"""The Python client: every method against a real API, and a stream that breaks against one that breaks it."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from corral.stack import free_port
from corral.valkey import ValkeyServer
from producers.client import ApiRefused, ApiUnreachable, Corral
from schemas.envelope import Callback
from schemas.job_status import JobState, Progress
from schemas.jobs.documents import ConvertDocument, FileSource
from tests.support.api_process import ApiProcess, api_process
from tests.support.until import until

TOKEN = "a-token-of-acme-0123456789"


@pytest.fixture
def process(redis: Redis, valkey: ValkeyServer, tmp_path: Path) -> Iterator[ApiProcess]:
    """The API for one tenant, as a process, on an empty Valkey."""
    assert redis is not None
    with api_process(valkey.url, tmp_path, api_tokens=json.dumps({"acme": TOKEN})) as started:
        yield started


@pytest.fixture
async def corral(process: ApiProcess) -> AsyncIterator[Corral]:
    """A client of it."""
    async with Corral(process.url, token=TOKEN) as client:
        yield client


async def complete(redis: Redis, job_id: str) -> None:
    """End a job as a worker does."""
    async with redis.pipeline(transaction=True) as pipe:
        pipe.lrem("bull:documents:wait", 0, job_id)
        pipe.zadd("bull:documents:completed", {job_id: 1})
        pipe.hset(f"bull:documents:{job_id}", mapping={"finishedOn": "1700000001000", "returnvalue": '{"pages": 2}'})
        pipe.rpush(f"bull:documents:{job_id}:logs", "converted 2 pages")
        pipe.xadd("bull:documents:events", {"event": "completed", "jobId": job_id})
        await pipe.execute()


async def test_a_job_from_file_to_result(corral: Corral, redis: Redis, tmp_path: Path) -> None:
    """Upload, enqueue twice with one key, look, wait, and fetch what came of it."""
    source = tmp_path / "résumé.txt"
    source.write_bytes(b"text" * 700_000)
    stored = await corral.upload(source)
    payload = ConvertDocument(source=FileSource(file=stored.ref))
    callback = Callback.model_validate({"url": "https://example.org/hook"})
    job_id, again = [
        await corral.enqueue("documents.convert", payload, callback=callback, idempotency_key="a") for _ in range(2)
    ]
    waiting = asyncio.create_task(corral.wait(job_id))

    assert job_id == again
    assert (await corral.status(job_id)).state is JobState.WAITING
    await complete(redis, job_id)
    assert (await waiting).state is JobState.COMPLETED
    assert await corral.result(job_id) == {"pages": 2}
    assert await corral.logs(job_id) == ["converted 2 pages"]
    await corral.download(stored.ref, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == source.read_bytes()
    assert stored.name == "résumé.txt"


async def test_a_job_is_cancelled(corral: Corral) -> None:
    """And whoever waits for it hears of that."""
    job_id = await corral.enqueue("documents.convert", {"source": {"file": f"sha256-{'0' * 64}"}})
    assert (await corral.cancel(job_id)).state is JobState.CANCELLED
    assert (await corral.wait(job_id)).state is JobState.CANCELLED


async def test_a_refusal_has_the_status_and_the_code_of_the_api(
    corral: Corral, process: ApiProcess, tmp_path: Path
) -> None:
    """A program can tell why."""
    with pytest.raises(ApiRefused, match="there is no job") as missing:
        await corral.status("documents_0")
    assert (missing.value.status, missing.value.code) == (404, "job_not_found")
    with pytest.raises(ApiRefused) as unknown:
        await corral.enqueue("documents.translate", {})
    assert unknown.value.code == "unknown_kind"
    with pytest.raises(ApiRefused) as gone:
        await corral.download(f"sha256-{'0' * 64}", tmp_path / "never-written")
    assert gone.value.code == "file_missing"
    assert not await asyncio.to_thread((tmp_path / "never-written").exists)
    async with Corral(process.url) as stranger:
        with pytest.raises(ApiRefused) as refused:
            await stranger.wait("documents_0")
    assert refused.value.code == "unauthorized"


async def test_an_api_that_is_not_there_is_unreachable() -> None:
    """By every way, with its address."""
    url = f"http://127.0.0.1:{free_port()}"
    async with Corral(url) as corral:
        with pytest.raises(ApiUnreachable, match=url):
            await corral.status("documents_0")
        with pytest.raises(ApiUnreachable, match=url):
            await corral.wait("documents_0")


STATUS = {"id": "documents_1", "kind": "documents.convert", "attempts": 1, "added_at": "2026-01-01T00:00:00Z"}


def state(state: str, event_id: str) -> bytes:
    """Give a state event as the API writes it."""
    return f"event: state\ndata: {json.dumps({**STATUS, 'state': state})}\nid: {event_id}\n\n".encode()


@asynccontextmanager
async def breaking(*answers: tuple[int, bytes]) -> AsyncIterator[tuple[str, list[str]]]:
    """Serve these answers, one to each connection, and break each line after it; give what was asked, too."""
    asked: list[str] = []
    waiting = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        status, body = waiting.pop(0)
        kind = "text/event-stream" if status == 200 else "application/problem+json"
        # An announced length that never comes: the caller sees a line that broke.
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: 9999\r\n\r\n".encode() + body)
        if status != 200:
            writer.write(b" " * (9999 - len(body)))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


async def test_a_stream_that_breaks_goes_on(redis: Redis) -> None:
    """From the last event it had, past comments, and past a 503 of a server that is coming back."""
    assert await redis.ping()
    progress = b'event: progress\ndata: {"done": 1, "total": 2, "unit": "pages"}\nid: 2-0\n\n'
    unavailable = json.dumps({"code": "engine_unavailable", "detail": "try again"}).encode()
    answers = ((200, state("active", "1-0") + b": still there\n\n" + progress), (503, unavailable))
    async with breaking(*answers, (200, state("completed", "3-0-final"))) as (url, asked), Corral(url) as corral:
        events = [event async for event in corral.events("documents_1")]

    assert [event.status.state if event.status else event.progress for event in events] == [
        JobState.ACTIVE,
        Progress(done=1, total=2, unit="pages"),
        JobState.COMPLETED,
    ]
    await until(lambda: len(asked) == 3)
    assert "last-event-id" not in asked[0].lower()
    assert all("last-event-id: 2-0" in request.lower() for request in asked[1:])


async def test_a_job_that_is_removed_ends_the_waiting() -> None:
    """The API says 404 to whoever connects again: there is nothing to wait for."""
    missing = json.dumps({"code": "job_not_found", "detail": "there is no job"}).encode()
    async with breaking((200, state("active", "1-0")), (404, missing)) as (url, _), Corral(url) as corral:
        with pytest.raises(ApiRefused) as refused:
            await corral.wait("documents_1")
    assert refused.value.code == "job_not_found"


async def test_an_answer_of_something_else_is_a_refusal_with_a_code_of_its_status() -> None:
    """A proxy in between knows nothing of our problems."""
    async with breaking((502, b"<html>")) as (url, _), Corral(url) as corral:
        with pytest.raises(ApiRefused) as refused:
            await corral.status("documents_1")
    assert refused.value.code == "http_502"
