"""An upload that is too large, too short, broken or left in the middle is refused, and nothing is kept of it."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis
from starlette.requests import ClientDisconnect

from producers.api.app import build
from producers.file_store import DiskFiles, FileTooLarge
from producers.settings import ApiSettings
from schemas.job_spec import catalogue
from tests.conftest import serving

LIMIT_BYTES = 2_000_000


def stored(folder: Path) -> list[str]:
    """Give the name of every file below a store."""
    return sorted(path.name for path in (folder / "files").rglob("*") if path.is_file())


@pytest.fixture
async def small(redis: Redis, api_settings: ApiSettings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an API that takes files up to two million bytes."""
    assert await redis.ping()
    settings = ApiSettings.model_validate({**api_settings.model_dump(), "api_upload_limit_bytes": LIMIT_BYTES})
    async with serving(build(settings, catalogue())) as client:
        yield client


async def test_a_file_of_exactly_the_limit_fits(small: httpx.AsyncClient) -> None:
    """The limit is the file's, not the form's."""
    content = b"x" * LIMIT_BYTES
    assert (await small.post("/v1/files", files={"file": ("a", content)})).status_code == 201
    assert (await small.post("/v1/files", content=content)).status_code == 200


async def test_a_file_above_the_limit_is_refused(small: httpx.AsyncClient, tmp_path: Path) -> None:
    """With its length announced or not, as a form or as a body; nothing is kept of it."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b"x" * 100_000

    for answer in (
        await small.post("/v1/files", content=b"x" * (LIMIT_BYTES + 1)),
        await small.post("/v1/files", content=chunks()),
        await small.post("/v1/files", files={"file": ("a", b"x" * (LIMIT_BYTES + 1))}),
        await small.post("/v1/files", files={"file": ("a", b"x" * LIMIT_BYTES * 2)}),
    ):
        assert answer.status_code == 413
        assert answer.json()["code"] == "file_too_large"
        assert f"{LIMIT_BYTES:,}" in answer.json()["detail"]
    assert stored(tmp_path) == []


async def test_a_length_above_the_limit_is_refused_before_the_body_is_read(small: httpx.AsyncClient) -> None:
    """A caller who says how much will come need not send it."""
    read: list[str] = []

    async def body() -> AsyncIterator[bytes]:
        read.append("a byte")
        yield b"x"

    answer = await small.post("/v1/files", content=body(), headers={"Content-Length": str(LIMIT_BYTES * 10)})
    assert answer.json()["code"] == "file_too_large"
    assert read == []


async def test_a_body_that_ends_too_early_is_refused(api: httpx.AsyncClient, tmp_path: Path) -> None:
    """Half a file must not pass for a whole one."""

    async def half() -> AsyncIterator[bytes]:
        yield b"half"

    answer = await api.post("/v1/files", content=half(), headers={"Content-Length": "8"})
    assert (answer.status_code, answer.json()["code"]) == (400, "body_incomplete")
    assert stored(tmp_path) == []


@pytest.mark.parametrize(
    "body", [b"", b"rubbish", b"--b\r\n", b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\nv\r\n--b--']
)
async def test_a_broken_form_is_refused(api: httpx.AsyncClient, tmp_path: Path, body: bytes) -> None:
    """With a code of its own, and nothing is kept."""
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = await api.post("/v1/files", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "form_invalid")
    assert stored(tmp_path) == []


async def test_a_caller_who_leaves_in_the_middle_leaves_nothing_behind(tmp_path: Path) -> None:
    """Neither a draft nor a file."""
    files = DiskFiles(tmp_path / "files")

    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 3_000_000
        raise ClientDisconnect

    with pytest.raises(ClientDisconnect):
        await files.receive("default", broken(), media_type="text/plain", name="a", limit_bytes=10**9)
    with pytest.raises(FileTooLarge):
        await files.receive("default", broken(), media_type="text/plain", name="a", limit_bytes=1000)
    assert stored(tmp_path) == []
