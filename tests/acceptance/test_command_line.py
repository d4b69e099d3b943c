"""The command line, run as a person runs it."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from redis.asyncio import Redis

from corral.stack import Stack
from producers.client import Corral
from schemas.job_status import JobState
from schemas.jobs.documents import ConvertDocument, FileSource
from tests.support.child_process_ids import alive, descendants
from tests.support.command import ROOT, corral
from tests.support.until import until

SAMPLES = ROOT / "corral" / "samples"


async def test_enqueue_uploads_what_the_payload_names_and_prints_the_result(stack: Stack) -> None:
    """`enqueue KIND '... "@FILE" ...' --wait` is the whole main job in one line."""
    payload = json.dumps({"source": {"file": f"@{SAMPLES / 'notes.md'}"}})
    ended = await corral("enqueue", "documents.convert", payload, "--wait", "--api", stack.api_url)
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["format"] == "markdown"
    assert "completed" in ended.err


async def test_enqueue_reads_a_payload_from_standard_input_and_prints_the_id(stack: Stack) -> None:
    """A key makes it repeatable: the same words give the same job."""
    async with Corral(stack.api_url) as api:
        ref = (await api.upload(SAMPLES / "plain.txt")).ref
    payload = json.dumps({"source": {"file": ref}})
    arguments = ("enqueue", "documents.convert", "-", "--key", "cli-1", "--api", stack.api_url)
    first = await corral(*arguments, stdin=payload)
    second = await corral(*arguments, stdin=payload)
    assert first.out.startswith("documents_")
    assert second.out == first.out


async def test_a_failed_job_is_exit_code_one_and_says_why(stack: Stack) -> None:
    """A script can tell, and so can its reader."""
    payload = json.dumps({"source": {"file": f"@{SAMPLES / 'broken.pdf'}"}})
    ended = await corral("enqueue", "documents.convert", payload, "--wait", "--api", stack.api_url)
    assert ended.code == 1
    assert "document_unreadable" in ended.err
    assert "Traceback" not in ended.err


async def test_a_job_can_be_shown_and_its_log_read(stack: Stack) -> None:
    """`job show --follow` ends with the job and prints its result; `job logs` prints its lines."""
    async with Corral(stack.api_url) as api:
        source = await api.upload(SAMPLES / "page.html")
        job_id = await api.enqueue("documents.convert", ConvertDocument(source=FileSource(file=source.ref)))
    shown = await corral("job", "show", job_id, "--follow", "--api", stack.api_url)
    told = json.loads(shown.out)
    assert told["id"] == job_id
    assert told["state"] == "completed"
    assert told["result"]["format"] == "html"
    logs = await corral("job", "logs", job_id, "--api", stack.api_url)
    assert "converted" in logs.out


async def test_cancelling_a_job_that_has_ended_says_so(stack: Stack) -> None:
    """The API's own words reach the terminal, without a trace."""
    async with Corral(stack.api_url) as api:
        source = await api.upload(SAMPLES / "plain.txt")
        job_id = await api.enqueue("documents.convert", ConvertDocument(source=FileSource(file=source.ref)))
        await api.wait(job_id)
    ended = await corral("job", "cancel", job_id, "--api", stack.api_url)
    assert ended.code == 1
    assert "job_has_ended" in ended.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("job", "show", "documents_nothing"), "job_not_found"),
        (("enqueue", "documents.convert", "{"), "PAYLOAD is not JSON"),
        (("enqueue", "documents.convert", '{"source": {"file": "@nowhere.pdf"}}'), "there is no file nowhere.pdf"),
        (("enqueue", "documents.convert", "{}", "--callback", "not a url"), "--callback"),
        (("enqueue", "documents.convert", "{}"), "payload_invalid"),
        (("enqueue", "nothing.at_all", "{}"), "unknown_kind"),
        (("enqueue", "documents.convert", "{}", "--key", "é"), "payload_invalid"),
        (("job", "show", "documents_nothing", "--token", "é"), "job_not_found"),
        (("job", "cancel", "..%2f?"), "there is no job ..%2f?"),
        (("schedule", "remove", "?"), "path.schedule_id"),
        (("doc", str(SAMPLES / "plain.txt"), "--language", "English"), "languages.0"),
        (("dev", "--port", "65536"), "--port"),
    ],
)
async def test_wrong_input_is_one_line_that_names_it(stack: Stack, arguments: tuple[str, ...], said: str) -> None:
    """Whatever is wrong, the line says what, and no trace is shown."""
    ended = await corral(*arguments, CORRAL_API_URL=stack.api_url)
    assert ended.code != 0
    assert said in ended.err
    assert "Traceback" not in ended.err


async def test_an_api_that_does_not_answer_is_named() -> None:
    """The line has the address that was tried."""
    ended = await corral("job", "show", "documents_1", CORRAL_API_URL="http://127.0.0.1:9")
    assert ended.code == 1
    assert "api_unreachable: no answer from http://127.0.0.1:9" in ended.err


async def test_doc_converts_a_file_without_any_server() -> None:
    """Markdown on standard output, and nothing else there."""
    ended = await corral("doc", str(SAMPLES / "letter.docx"))
    assert ended.code == 0, ended.err
    assert ended.out.startswith("#")
    assert ended.err == ""


async def test_doc_reads_standard_input() -> None:
    """As the last command of a pipe."""
    ended = await corral("doc", "-", stdin="<html><body><h1>Piped</h1></body></html>")
    assert (ended.code, ended.out, ended.err) == (0, "# Piped\n", "")


async def test_doc_fetches_an_address_through_the_guarded_client() -> None:
    """Loopback is refused unless it is allowed; with it, the page is fetched and converted."""
    handler = partial(SimpleHTTPRequestHandler, directory=SAMPLES)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/page.html"
        refused = await corral("doc", address, CORRAL_ALLOW_LOOPBACK="false")
        fetched = await corral("doc", address, CORRAL_ALLOW_LOOPBACK="true")
        server.shutdown()
    assert refused.code == 1
    assert "source_refused" in refused.err
    assert fetched.code == 0, fetched.err
    assert fetched.out.strip()


def loading(pid: int) -> bool:
    """Tell whether a process has begun to load the document libraries."""
    try:
        return "numpy" in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_doc_ends_quietly_while_its_parser_is_loading() -> None:
    """Ctrl-C reaches every process of the terminal; none shows a trace, and none is left."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "corral", "doc", str(SAMPLES / "plain.txt")),
        cwd=ROOT,
        stdout=PIPE,
        stderr=PIPE,
        start_new_session=True,
    )
    await until(lambda: any(map(loading, descendants(process.pid))), within_s=40)
    family = descendants(process.pid)
    os.killpg(process.pid, signal.SIGINT)
    said, complaints = await process.communicate()
    assert (process.returncode, said, complaints) == (1, b"", b"\nAborted!\n")
    await until(lambda: not any(map(alive, family)))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (str(SAMPLES / "broken.pdf"), "document_unreadable"),
        ("no-such-file.pdf", "file_missing: there is no file"),
        ("http://[", "source_refused"),
        ("-", "document_unreadable: the document is empty"),
    ],
)
async def test_doc_says_what_is_wrong_with_a_document(source: str, said: str) -> None:
    """Exit code 1 and one line with the stable code."""
    ended = await corral("doc", source)
    assert ended.code == 1
    assert said in ended.err
    assert "Traceback" not in ended.err


async def test_doctor_finds_a_healthy_machine(stack: Stack, tmp_path: Path) -> None:
    """With the stack's server and a folder, everything is well."""
    url = stack.environment["CORRAL_REDIS_URL"]
    ended = await corral("doctor", CORRAL_REDIS_URL=url, CORRAL_DATA_FOLDER=str(tmp_path))
    assert ended.code == 0, ended.out
    assert "maxmemory-policy noeviction" in ended.out
    assert "every kind has its handler" in ended.out


async def test_doctor_names_what_is_wrong_and_the_remedy(tmp_path: Path) -> None:
    """A server that does not answer fails; a misspelt variable is noted."""
    ended = await corral("doctor", CORRAL_REDIS_URL=f"unix://{tmp_path}/nothing", CORRAL_REDIS_ULR="x")
    assert ended.code == 1
    assert "FAIL  CORRAL_REDIS_URL: no answer" in ended.out
    assert "note  CORRAL_REDIS_ULR: no setting has this name" in ended.out


async def test_a_schedule_is_put_listed_and_removed_and_its_jobs_end(stack: Stack) -> None:
    """`schedule put ... --every` adds jobs that a worker does; `list` shows the next firing."""
    async with Corral(stack.api_url) as api:
        ref = (await api.upload(SAMPLES / "plain.txt")).ref
    payload = json.dumps({"source": {"file": ref}})
    where = ("--api", stack.api_url)
    put = await corral("schedule", "put", "each-hour", "documents.convert", payload, "--every", "3600", *where)
    assert put.code == 0, put.err
    assert "each-hour  documents.convert" in put.out
    listed = await corral("schedule", "list", *where)
    assert '{"every_s": 3600}  api' in listed.out
    async with Redis.from_url(stack.environment["CORRAL_REDIS_URL"], decode_responses=True) as redis:
        await until(lambda: redis.exists("bull:schedules:completed"))
        firing = str((await redis.zrange("bull:schedules:completed", 0, -1))[0])
        job_id = json.loads(await redis.hget(f"bull:schedules:{firing}", "returnvalue") or "{}")["job_id"]
    async with Corral(stack.api_url) as api:
        assert (await api.wait(job_id)).state is JobState.COMPLETED
    assert (await corral("schedule", "remove", "each-hour", *where)).code == 0
    gone = await corral("schedule", "remove", "each-hour", *where)
    assert (gone.code, "schedule_missing" in gone.err) == (1, True)
    unclear = await corral("schedule", "put", "x", "documents.convert", *where)
    assert "say when: --cron or --every" in unclear.err
