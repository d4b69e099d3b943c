"""Whatever a document does to its parser, the worker and the neighbours go on."""

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from schemas.errors import ParserCrashed, ParserOutOfMemory, ParserTimeout
from schemas.job_status import Progress
from schemas.jobs.documents import ConvertOptions
from tests.support.child_process_ids import alive, descendants, environment, interfaces
from tests.support.document import huge_page_pdf, long_pdf, parse, sample
from tests.support.until import until
from worker.adapters.pebble_document_parser import ParserLimits, PebbleDocumentParser

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET = "a-secret-of-the-worker"
MIB = 1024 * 1024
# The lane in which 300 pages take a minute, and in which a page is rendered.
SLOW = ConvertOptions(lane="deep")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def parser() -> AsyncIterator[PebbleDocumentParser]:
    """A parser that gives up after a few seconds, in a worker that holds a secret."""
    os.environ["CORRAL_SIGNING_SECRET"] = SECRET
    async with PebbleDocumentParser(ParserLimits(processes=2, timeout_s=4.0)) as opened:
        yield opened
    del os.environ["CORRAL_SIGNING_SECRET"]


def busy(parser: PebbleDocumentParser) -> set[int]:
    """Give the children that parse just now."""
    return {task.worker_id for task in parser._pool._pool_manager.task_manager.tasks.values() if task.worker_id}


async def begun(parser: PebbleDocumentParser, document: Path) -> tuple[asyncio.Task[object], int]:
    """Start to parse and give the running call and its child, once there is progress."""
    before, seen = busy(parser), list[Progress]()
    call: asyncio.Task[object] = asyncio.create_task(parse(parser, document, seen=seen, options=SLOW))
    await until(lambda: seen)
    return call, (busy(parser) - before).pop()


async def test_a_document_that_takes_too_long_is_given_up(parser: PebbleDocumentParser, tmp_path: Path) -> None:
    """The child is killed at the limit, and the next document is parsed."""
    call, child = await begun(parser, long_pdf(tmp_path, pages=300))
    with pytest.raises(ParserTimeout, match="4 s"):
        await call
    await until(lambda: not alive(child))
    assert (await parse(parser, sample("report.pdf", tmp_path))).pages == 3


async def test_cancelling_kills_the_child_at_once(parser: PebbleDocumentParser, tmp_path: Path) -> None:
    """Nobody waits for a result that nobody wants, and the next document is parsed."""
    call, child = await begun(parser, long_pdf(tmp_path, pages=300))
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await until(lambda: not alive(child), within_s=2)
    assert (await parse(parser, sample("report.pdf", tmp_path))).pages == 3


async def test_a_crash_costs_its_own_document_alone(parser: PebbleDocumentParser, tmp_path: Path) -> None:
    """The document whose child dies is worth another attempt; its neighbour never notices."""
    victim, child = await begun(parser, long_pdf(tmp_path, pages=300))
    neighbour, _ = await begun(parser, long_pdf(tmp_path, pages=5, name="neighbour.pdf"))
    os.kill(child, signal.SIGKILL)
    with pytest.raises(ParserCrashed):
        await victim
    assert (await neighbour) is not None


async def test_a_child_has_no_secret_and_no_network(parser: PebbleDocumentParser, tmp_path: Path) -> None:
    """What takes over a parser finds no environment and nobody to tell."""
    call, child = await begun(parser, long_pdf(tmp_path, pages=300))
    given, seen = environment(child), interfaces(child)
    call.cancel()
    await asyncio.wait([call])
    assert "CORRAL_" not in given
    assert SECRET not in given
    assert "ORT_DISABLE_TELEMETRY=1" in given
    if parser._warned:
        pytest.skip("this system lets no process give up its network")
    assert seen == ["lo"]


async def test_nothing_is_left_behind(tmp_path: Path) -> None:
    """A parser that is closed leaves no process and no file, even in the middle of a document."""
    before = descendants()
    async with PebbleDocumentParser(ParserLimits(processes=1)) as parser:
        scratch = parser._scratch
        call, _ = await begun(parser, long_pdf(tmp_path, pages=300))
        call.cancel()
        await asyncio.wait([call])
        assert scratch.is_dir()
    await until(lambda: len(descendants() - before) <= 1)  # multiprocessing's tracker stays
    assert not scratch.exists()


async def test_a_document_that_needs_too_much_memory_is_refused(tmp_path: Path) -> None:
    """The limit is the child's own, and the child is fit for the next document."""
    async with PebbleDocumentParser(ParserLimits(processes=1, memory_bytes=1000 * MIB)) as parser:
        with pytest.raises(ParserOutOfMemory, match="1000 MiB"):
            await parse(parser, huge_page_pdf(tmp_path), options=SLOW)
        assert (await parse(parser, sample("report.pdf", tmp_path))).pages == 3


async def test_a_parser_whose_idle_children_are_killed_recovers(tmp_path: Path) -> None:
    """The system's out-of-memory killer may take any child at any time."""
    before = descendants()
    async with PebbleDocumentParser(ParserLimits(processes=1)) as parser:
        await parse(parser, sample("plain.txt", tmp_path))
        for pid in parser._pool._pool_manager.worker_manager.workers:
            os.kill(pid, signal.SIGKILL)

        # The first document may meet the gap; each after it must not.
        with contextlib.suppress(ParserCrashed):
            await parse(parser, sample("plain.txt", tmp_path))
        assert (await parse(parser, sample("plain.txt", tmp_path))).format == "text"
    assert len(descendants() - before) <= 1


async def test_no_child_outlives_a_killed_worker(tmp_path: Path) -> None:
    """SIGKILL gives a worker no chance to clean up: its children end by themselves."""
    document = long_pdf(tmp_path, pages=300)
    command = [sys.executable, "-m", "tests.support.parser_owner", str(document)]
    # What a killed worker leaves in the temporary folder is the system's to remove: here, the test's.
    with tempfile.TemporaryDirectory() as temporary:
        worker = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, env=os.environ | {"TMPDIR": temporary}
        )
        assert worker.stdout is not None
        assert (await worker.stdout.readline()).strip().isdigit()
        children = descendants(worker.pid)
        worker.kill()
        await worker.wait()
        assert len(children) >= 3
        await until(lambda: not any(alive(pid) for pid in children))
