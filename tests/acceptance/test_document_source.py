"""Where a document comes from: an upload, or an address that Corral fetches itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from corral.stack import Stack
from producers.client import Corral
from schemas.job_status import JobState, JobStatus
from schemas.jobs.documents import ConvertDocument, FileSource, UrlSource
from tests.support.command import ROOT

PAGE = (ROOT / "corral" / "samples" / "page.html").read_bytes()


@contextmanager
def site() -> Iterator[str]:
    """Serve one page, one redirect to it, and nothing else."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer by path."""
            statuses = {"/page.html": HTTPStatus.OK, "/moved": HTTPStatus.FOUND}
            status = statuses.get(self.path, HTTPStatus.NOT_FOUND)
            self.send_response(status)
            if status is HTTPStatus.FOUND:
                self.send_header("location", "/page.html")
            body = PAGE if status is HTTPStatus.OK else b""
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


async def converted(stack: Stack, source: FileSource | UrlSource) -> tuple[JobStatus, object]:
    """Have a source converted and give how that ended."""
    async with Corral(stack.api_url) as corral:
        job_id = await corral.enqueue("documents.convert", ConvertDocument(source=source))
        status = await corral.wait(job_id)
        return status, await corral.result(job_id) if status.state is JobState.COMPLETED else None


async def test_a_document_is_fetched_and_kept(stack: Stack) -> None:
    """The result refers to the bytes that were fetched, so that it can always be traced to them."""
    with site() as address:
        status, result = await converted(stack, UrlSource.model_validate({"url": f"{address}/page.html"}))
    assert status.state is JobState.COMPLETED
    assert isinstance(result, dict)
    assert result["source"]["name"] == "page.html"
    assert result["source"]["size_bytes"] == len(PAGE)
    assert result["artifacts"]["markdown"]["name"] == "page.md"


@pytest.mark.parametrize(
    ("path", "said"),
    [("/nothing", "the source answered 404"), ("/moved", "the source redirects, which are not followed")],
)
async def test_a_source_that_says_no_ends_the_job(stack: Stack, path: str, said: str) -> None:
    """No second attempt is made, and the error says what was answered."""
    with site() as address:
        status, _ = await converted(stack, UrlSource.model_validate({"url": f"{address}{path}"}))
    assert status.state is JobState.FAILED
    assert status.attempts == 1
    assert status.error is not None
    assert status.error.code == "source_refused"
    assert said in status.error.message


async def test_a_file_that_was_never_uploaded_ends_the_job(stack: Stack) -> None:
    """The reference has the right form, but this tenant has no such file."""
    status, _ = await converted(stack, FileSource(file=f"sha256-{'0' * 64}"))
    assert status.state is JobState.FAILED
    assert status.error is not None
    assert status.error.code == "file_missing"


@pytest.mark.parametrize(
    ("given", "kept"),
    [("a\r\nb\0.pdf", "ab"), ("../../etc/passwd", "passwd"), ("..", "file"), ("été 报告.txt", "été 报告")],
)
async def test_what_a_job_calls_its_document_names_its_results(stack: Stack, given: str, kept: str) -> None:
    """As far as that is the name of a file: whoever saves them by it writes nowhere else."""
    async with Corral(stack.api_url) as corral:
        ref = (await corral.upload(ROOT / "corral" / "samples" / "plain.txt")).ref
    _, result = await converted(stack, FileSource(file=ref, name=given))
    assert isinstance(result, dict)
    assert result["artifacts"]["markdown"]["name"] == f"{kept}.md"
