"""What only a real server shows: memory, sockets that break, many who listen at once."""

import asyncio
import hashlib
import json
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis

from corral.valkey import ValkeyServer
from tests.support.api_process import ApiProcess, api_process
from tests.support.until import until

BLOCK = os.urandom(1024 * 1024)
BLOCKS = 200
GROWTH_BYTES = 20 * 1024 * 1024
BODY = {"payload": {"source": {"file": f"sha256-{'0' * 64}"}}}


@pytest.fixture
def process(redis: Redis, valkey: ValkeyServer, tmp_path: Path) -> Iterator[ApiProcess]:
    """The API as a process, on the tests' Valkey, which is empty."""
    assert redis is not None
    with api_process(valkey.url, tmp_path, api_upload_limit_bytes=str(300 * 1024**2)) as started:
        yield started


@pytest.fixture
async def api(process: ApiProcess) -> AsyncIterator[httpx.AsyncClient]:
    """A client of it."""
    limits = httpx.Limits(max_connections=100)
    async with httpx.AsyncClient(base_url=process.url, trust_env=False, timeout=60, limits=limits) as client:
        yield client


def files(tmp_path: Path) -> list[Path]:
    """Give every file of the store."""
    return [path for path in (tmp_path / "files").rglob("*") if path.is_file()]


@pytest.mark.parametrize("as_form", [False, True], ids=["raw", "form"])
async def test_a_file_of_200_mb_streams(
    process: ApiProcess, api: httpx.AsyncClient, capsys: pytest.CaptureFixture[str], *, as_form: bool
) -> None:
    """The API's memory grows by less than 20 MB, and the file is there byte for byte."""
    await api.post("/v1/files", content=b"warm")
    before = process.memory_bytes()
    if as_form:
        with tempfile.TemporaryFile() as file:
            for _ in range(BLOCKS):
                file.write(BLOCK)
            file.seek(0)
            answer = await asyncio.to_thread(
                httpx.post, f"{process.url}/v1/files", files={"file": ("big.bin", file)}, timeout=60, trust_env=False
            )
    else:

        async def body() -> AsyncIterator[bytes]:
            for _ in range(BLOCKS):
                yield BLOCK

        answer = await api.post("/v1/files", content=body())
    grown = process.memory_bytes("VmHWM") - before
    with capsys.disabled():
        print(f"\nmemory of the API grew by {grown / 1e6:.1f} MB for {BLOCKS} MiB")  # noqa: T201 - the figure of the promise

    digest = hashlib.sha256()
    for _ in range(BLOCKS):
        digest.update(BLOCK)
    assert answer.status_code == 201
    assert answer.json()["ref"] == f"sha256-{digest.hexdigest()}"
    assert answer.json()["size_bytes"] == BLOCKS * len(BLOCK)
    assert grown < GROWTH_BYTES


def connect(process: ApiProcess) -> socket.socket:
    """Open a connection to write to by hand."""
    url = httpx.URL(process.url)
    return socket.create_connection((url.host, url.port or 0), timeout=10)


async def test_too_much_is_refused_before_it_is_sent(process: ApiProcess) -> None:
    """A caller who announces the length gets the answer without having sent a byte."""
    for path, code in (("/v1/files", b"file_too_large"), ("/v1/jobs/documents.convert", b"body_too_large")):
        with connect(process) as line:
            head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            line.sendall(f"{head}Content-Length: 999999999999\r\n\r\n".encode())
            answer = await asyncio.to_thread(line.recv, 65_536)
        assert b" 413 " in answer.partition(b"\r\n")[0]
        assert b"application/problem+json" in answer
        assert code in answer + b""


@pytest.mark.parametrize("headers", ["Content-Length: 50000000", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("form", [False, True], ids=["raw", "form"])
async def test_a_caller_who_leaves_in_the_middle_leaves_nothing(
    process: ApiProcess, api: httpx.AsyncClient, tmp_path: Path, headers: str, *, form: bool
) -> None:
    """Half a file is no file, and no fault of ours either."""
    content = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' if form else b""
    content += b"x" * 3_000_000
    type_ = "multipart/form-data; boundary=b" if form else "application/octet-stream"
    with connect(process) as line:
        line.sendall(
            f"POST /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Type: {type_}\r\n{headers}\r\n\r\n".encode()
        )
        line.sendall(b"%x\r\n%b\r\n" % (len(content), content) if "chunked" in headers else content)
        await until(lambda: any(path.stat().st_size for path in (tmp_path / "files" / "incoming").iterdir()))
    await until(lambda: files(tmp_path) == [])
    assert (await api.get("/livez")).status_code == 200
    assert "request.failed" not in process.log.read_text()


async def follow(api: httpx.AsyncClient, job_id: str, events: list[str]) -> None:
    """Note what each event of a job holds, as it comes."""
    async with api.stream("GET", f"/v1/jobs/{job_id}/events") as stream:
        async for line in stream.aiter_lines():
            events += [line.removeprefix("data: ")] if line.startswith("data: ") else []


async def reading(redis: Redis) -> int:
    """Count the connections that wait in a blocking read of a stream."""
    return sum(client["cmd"] == "xread" and "b" in client["flags"] for client in await redis.client_list())


async def silent(redis: Redis) -> bool:
    """Tell whether nobody reads."""
    return await reading(redis) == 0


async def complete(redis: Redis, job_id: str) -> None:
    """End a job as a worker does."""
    async with redis.pipeline(transaction=True) as pipe:
        pipe.lrem("bull:documents:wait", 0, job_id)
        pipe.zadd("bull:documents:completed", {job_id: 1})
        pipe.hset(f"bull:documents:{job_id}", mapping={"finishedOn": "1700000001000", "returnvalue": "{}"})
        pipe.xadd("bull:documents:events", {"event": "completed", "jobId": job_id})
        await pipe.execute()


async def test_fifty_callers_of_one_job_are_one_reader(
    process: ApiProcess, api: httpx.AsyncClient, redis: Redis
) -> None:
    """One blocking read at the server, however many listen; all hear the same; none is left when they leave."""
    job_id = (await api.post("/v1/jobs/documents.convert", json=BODY)).json()["id"]
    heard: list[list[str]] = [[] for _ in range(50)]
    callers = [asyncio.create_task(follow(api, job_id, events)) for events in heard]
    await until(lambda: all(len(events) == 1 for events in heard))
    for done in (1, 2, 3):
        progress = json.dumps({"done": done, "total": 3})
        await redis.xadd("bull:documents:events", {"event": "progress", "jobId": job_id, "data": progress})
    await until(lambda: all(len(events) == 4 for events in heard))
    # Between two reads there is none for a moment.
    assert await until(lambda: reading(redis)) == 1

    for caller in callers[:25]:
        caller.cancel()
    await asyncio.wait(callers[:25])
    await complete(redis, job_id)
    await asyncio.gather(*callers[25:])

    for events in heard[25:]:
        first, *progressed, last = [json.loads(event) for event in events]
        assert (first["state"], last["state"]) == ("waiting", "completed")
        assert [event["done"] for event in progressed] == [1, 2, 3]
    await until(lambda: silent(redis))
    assert "request.failed" not in process.log.read_text()


async def test_a_caller_who_hangs_up_is_noticed(process: ApiProcess, api: httpx.AsyncClient, redis: Redis) -> None:
    """The reader stops though the job goes on."""
    job_id = (await api.post("/v1/jobs/documents.convert", json=BODY)).json()["id"]
    with connect(process) as line:
        line.sendall(f"GET /v1/jobs/{job_id}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await until(lambda: reading(redis))
    await until(lambda: silent(redis))


async def test_a_stream_does_not_hold_up_a_stop(process: ApiProcess, api: httpx.AsyncClient) -> None:
    """The stream ends in good order, so that its caller connects again, and the process ends at once."""
    job_id = (await api.post("/v1/jobs/documents.convert", json=BODY)).json()["id"]
    heard: list[str] = []
    caller = asyncio.create_task(follow(api, job_id, heard))
    await until(lambda: heard)

    process.process.terminate()

    await asyncio.wait_for(caller, 3)
    assert await asyncio.to_thread(process.process.wait, 3) == 0
