"""Files go in and come out byte for byte, once, and never as something to run."""

import asyncio
import hashlib
import os
import time
from pathlib import Path

import httpx
import pytest

from producers.file_store import DiskFiles


def ref(content: bytes) -> str:
    """Give the reference that these bytes must get."""
    return f"sha256-{hashlib.sha256(content).hexdigest()}"


def stored(folder: Path) -> list[str]:
    """Give the name of every file below a store."""
    return sorted(path.name for path in (folder / "files").rglob("*") if path.is_file())


async def test_what_goes_in_comes_out(api: httpx.AsyncClient) -> None:
    """As the body itself, above the limit of JSON bodies."""
    content = bytes(range(256)) * 8_000
    answer = await api.post("/v1/files?name=a.bin", content=content, headers={"Content-Type": "image/png"})

    assert answer.status_code == 201
    assert answer.json() == {
        "ref": ref(content),
        "size_bytes": len(content),
        "media_type": "image/png",
        "name": "a.bin",
    }
    back = await api.get(answer.headers["Location"])
    assert back.content == content
    assert back.headers["content-type"] == "image/png"


async def test_a_form_is_an_upload_too(api: httpx.AsyncClient) -> None:
    """With the name and the type that it states, the name in any script."""
    content = b"x" * 1_500_000
    answer = await api.post(
        "/v1/files", files={"file": ("résumé 报告.pdf", content, "application/pdf")}, data={"note": "a field"}
    )
    assert answer.status_code == 201
    assert answer.json()["ref"] == ref(content)
    assert answer.json()["name"] == "résumé 报告.pdf"

    back = await api.get(f"/v1/files/{ref(content)}")
    assert back.content == content
    assert back.headers["content-disposition"].startswith("attachment; filename*=utf-8''r%C3%A9sum%C3%A9%20")


async def test_the_same_bytes_are_stored_once(api: httpx.AsyncClient, tmp_path: Path) -> None:
    """The second answer is 200, and nothing is added."""
    assert (await api.post("/v1/files", content=b"twice")).status_code == 201
    before = stored(tmp_path)
    assert (await api.post("/v1/files", content=b"twice")).status_code == 200
    assert stored(tmp_path) == before == [ref(b"twice"), f"{ref(b'twice')}.json"]


async def test_the_same_bytes_at_the_same_time_are_stored_once(api: httpx.AsyncClient, tmp_path: Path) -> None:
    """Whoever wins, everybody gets a whole file, and no draft is left."""
    content = b"at once" * 100_000
    answers = await asyncio.gather(*(api.post("/v1/files", content=content) for _ in range(20)))

    assert {answer.status_code for answer in answers} <= {200, 201}
    assert {answer.json()["ref"] for answer in answers} == {ref(content)}
    assert stored(tmp_path) == [ref(content), f"{ref(content)}.json"]
    assert (await api.get(f"/v1/files/{ref(content)}")).content == content


async def test_an_empty_file_is_a_file(api: httpx.AsyncClient) -> None:
    """It has a reference like any other."""
    answer = await api.post("/v1/files", content=b"")
    assert (answer.status_code, answer.json()["size_bytes"], answer.json()["name"]) == (201, 0, "file")
    assert (await api.get(f"/v1/files/{ref(b'')}")).content == b""


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\temp\\a.pdf", "a.pdf"),
        ("", "file"),
        ("..", "file"),
        ("报告.pdf", "报告.pdf"),
    ],
)
async def test_a_name_never_leads_anywhere(api: httpx.AsyncClient, tmp_path: Path, given: str, kept: str) -> None:
    """Whether it comes in the address or in a form; the file lies where its bytes say."""
    raw = await api.post("/v1/files", params={"name": given}, content=b"x")
    form = await api.post("/v1/files", files={"file": (given or "/", b"y")})
    assert raw.json()["name"] == form.json()["name"] == kept
    assert set(stored(tmp_path)) == {ref(b"x"), ref(b"y"), f"{ref(b'x')}.json", f"{ref(b'y')}.json"}


async def test_a_header_in_a_media_type_does_not_pass(api: httpx.AsyncClient) -> None:
    """What a form says becomes a header of ours only if it is a media type."""
    answer = await api.post("/v1/files", files={"file": ("a", b"x", "text/html; ümlaut")})
    assert answer.json()["media_type"] == "application/octet-stream"
    assert (await api.get(f"/v1/files/{ref(b'x')}")).status_code == 200


async def test_a_page_is_never_run(api: httpx.AsyncClient) -> None:
    """Saved, not shown; not guessed at; and without rights where it is opened all the same."""
    await api.post("/v1/files?name=a.html", content=b"<script>", headers={"Content-Type": "text/html"})
    headers = (await api.get(f"/v1/files/{ref(b'<script>')}")).headers
    assert headers["content-disposition"] == 'attachment; filename="a.html"'
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("wanted", "status", "content"),
    [
        ("bytes=0-3", 206, b"0123"),
        ("bytes=7-", 206, b"789"),
        ("bytes=-2", 206, b"89"),
        ("bytes=8-99", 206, b"89"),
        ("bytes=-99", 206, b"0123456789"),
        ("bytes=10-", 416, None),
        ("bytes=-0", 416, None),
        ("bytes=5-2", 200, b"0123456789"),
        ("bytes=-", 200, b"0123456789"),
        ("bytes=0-1,3-4", 200, b"0123456789"),
        ("lines=1-2", 200, b"0123456789"),
    ],
)
async def test_a_range_is_a_part(api: httpx.AsyncClient, wanted: str, status: int, content: bytes | None) -> None:
    """One range is served, one beyond the end is refused, anything else gives the whole file."""
    await api.post("/v1/files", content=b"0123456789")
    answer = await api.get(f"/v1/files/{ref(b'0123456789')}", headers={"Range": wanted})

    assert answer.status_code == status
    if content is None:
        assert answer.json()["code"] == "range_not_satisfiable"
        assert answer.headers["content-range"] == "bytes */10"
    else:
        assert answer.content == content


@pytest.mark.parametrize(("condition", "status"), [('"{}"', 304), ('W/"{}"', 304), ("*", 304), ('"other"', 200)])
async def test_what_a_caller_has_is_not_sent_again(api: httpx.AsyncClient, condition: str, status: int) -> None:
    """The reference is the ETag: these bytes never change."""
    await api.post("/v1/files", content=b"same")
    headers = {"If-None-Match": condition.format(ref(b"same"))}
    answer = await api.get(f"/v1/files/{ref(b'same')}", headers=headers)
    assert answer.status_code == status
    assert answer.headers["etag"] == f'"{ref(b"same")}"'


async def test_a_stored_copy_of_a_local_file_is_the_same_file(tmp_path: Path) -> None:
    """A worker's result and an upload of the same bytes share one reference."""
    files = DiskFiles(tmp_path / "files")
    source = tmp_path / "a.txt"
    source.write_bytes(b"local")
    artifact = files.put("default", source, media_type="text/plain", name="a.txt")

    assert artifact.ref == ref(b"local")
    assert files.describe("default", artifact.ref) == artifact
    assert files.path("default", artifact.ref).read_bytes() == b"local"


def test_what_a_killed_process_was_writing_is_swept_after_a_day(tmp_path: Path) -> None:
    """A store that opens removes drafts of the day before, and none that may still be written."""
    DiskFiles(tmp_path)
    old, young = tmp_path / "incoming" / "old", tmp_path / "incoming" / "young"
    for draft in (old, young):
        draft.write_bytes(b"half")
    two_days_ago = time.time() - 2 * 24 * 3600
    os.utime(old, (two_days_ago, two_days_ago))
    DiskFiles(tmp_path)
    assert not old.exists()
    assert young.exists()
