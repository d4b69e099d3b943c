"""Parses documents in child processes that pebble may kill: fills the port ``DocumentParser``.

The children are forked by a fork server that has loaded the document libraries once; this process
never loads them.
"""

import asyncio
import shutil
import tempfile
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog
from pebble import ProcessExpired, ProcessFuture, ProcessPool

from schemas.errors import (
    CorralError,
    DocumentEncrypted,
    DocumentTooLarge,
    DocumentUnreadable,
    DocumentUnsupported,
    Misconfigured,
    ParserCrashed,
    ParserOutOfMemory,
    ParserTimeout,
)
from schemas.job_status import Progress
from schemas.jobs.documents import ConvertOptions
from worker.parser.child import parse as parse_in_child
from worker.parser.confinement import confine
from worker.parser.fork_server import ForkServer, ForkServerChildren
from worker.parser.limit import ParserLimits
from worker.parser.progress_file import read_progress
from worker.parser.request import Parsed, ParseRequest, Refused
from worker.ports import DocumentParser, ParsedDocument, Report

__all__ = ["ParserLimits", "PebbleDocumentParser"]

log = structlog.get_logger(__name__)

_PRELOAD = "worker.parser.preload"
_POLL_S = 0.2
_REFUSALS: dict[str, type[CorralError]] = {
    refusal.code: refusal
    for refusal in (
        DocumentEncrypted,
        DocumentTooLarge,
        DocumentUnreadable,
        DocumentUnsupported,
        ParserOutOfMemory,
    )
}


class PebbleDocumentParser(DocumentParser):
    """A pool of children, each of which parses one document at a time."""

    def __init__(self, limits: ParserLimits) -> None:
        """Keep the limits; ``async with`` starts the children."""
        self._limits = limits
        self._tesseract = shutil.which("tesseract")
        self._warned = False
        self._used: list[Path] = []

    async def __aenter__(self) -> Self:
        """Start the children; the document libraries load in about 2 s."""
        self._scratch = Path(tempfile.mkdtemp(prefix="corral-parser-"))
        self._server = ForkServer(_PRELOAD, self._scratch)
        self._replacing = asyncio.Lock()
        try:
            self._pool = await asyncio.to_thread(self._new_pool)
        except BrokenProcessPool as error:
            await self._clear()
            raise Misconfigured("the parser's processes do not start: see the traceback above") from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill what still runs and remove what it wrote."""
        await asyncio.to_thread(self._stop, self._pool)
        await self._clear()

    async def parse(
        self, document: Path, *, name: str, options: ConvertOptions, folder: Path, report: Report
    ) -> ParsedDocument:
        """Parse one document in a child."""
        await self._remove_used()
        scratch = Path(tempfile.mkdtemp(dir=self._scratch))
        request = ParseRequest(document, name, options, folder, scratch, self._tesseract, self._limits)
        try:
            reply = await self._reply(await self._schedule(request), scratch, report)
        finally:
            self._used.append(scratch)
        await self._remove_used()
        match reply:
            case Parsed():
                self._warn_once(reply)
                return reply.document
            case Refused():
                raise _REFUSALS[reply.code](reply.message)

    async def _reply(
        self, future: "ProcessFuture[Parsed | Refused]", scratch: Path, report: Report
    ) -> Parsed | Refused:
        """Wait for a child's answer and report its progress meanwhile."""
        waiting = asyncio.wrap_future(future)
        seen: Progress | None = None
        try:
            while True:
                done, _ = await asyncio.wait([waiting], timeout=_POLL_S)
                newest = read_progress(scratch)
                if newest is not None and newest != seen:
                    await report(newest)
                    seen = newest
                if done:
                    return waiting.result()
        except (ProcessExpired, BrokenProcessPool) as error:
            raise ParserCrashed("the parser's process died: see whether the file does it each time") from error
        except TimeoutError as error:
            raise ParserTimeout(f"the parser took longer than {self._limits.timeout_s:g} s: split it") from error
        finally:
            # Kills the child at once if it still runs; nothing if it is done.
            future.cancel()

    async def _remove_used(self) -> None:
        """Remove what children have written.

        After a failure that is when the next document comes: the child of a call that is
        cancelled lives for another tenth of a second, and must be killed, not stumble.
        """
        used, self._used = self._used, []
        for folder in used:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def _schedule(self, request: ParseRequest) -> "ProcessFuture[Parsed | Refused]":
        try:
            async with self._replacing:
                if not self._pool.active:
                    # pebble gives up on a pool when an idle child is killed from outside just as a
                    # request is on its way to it.
                    log.warning("parser.pool_replaced")
                    await asyncio.to_thread(self._stop, self._pool)
                    self._pool = await asyncio.to_thread(self._new_pool)
            # pebble counts the time from when a child takes the document up, not from here.
            return self._pool.schedule(parse_in_child, args=(request,), timeout=self._limits.timeout_s)
        except RuntimeError as error:
            # What pebble raises when the pool breaks, among others BrokenProcessPool.
            raise ParserCrashed("the parser's processes do not start: see the log") from error

    def _new_pool(self) -> ProcessPool:
        """Start a pool; takes as long as the fork server takes to load."""
        pool = ProcessPool(
            max_workers=self._limits.processes,
            max_tasks=self._limits.max_tasks,
            initializer=confine,
            initargs=(self._limits,),
            context=ForkServerChildren(self._server),
        )
        # Asking is what starts it; the first child waits until the fork server has loaded.
        if not pool.active:
            raise BrokenProcessPool
        return pool

    async def _clear(self) -> None:
        await asyncio.to_thread(self._server.close)
        await asyncio.to_thread(shutil.rmtree, self._scratch, ignore_errors=True)

    @staticmethod
    def _stop(pool: ProcessPool) -> None:
        pool.stop()
        pool.join()

    def _warn_once(self, reply: Parsed) -> None:
        if not reply.network_off and not self._warned:
            self._warned = True
            log.warning("parser.network_left_on", remedy="allow user namespaces, or firewall the worker")
