"""``corral demo``: the main job once, from documents in to signed callbacks out."""

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from rich.console import Console
from rich.table import Table

from corral.data_folder import made_writable
from corral.receiver import Received, receiving
from corral.stack import Stack, free_port, running
from producers.client import Corral
from schemas.envelope import Callback
from schemas.errors import DocumentUnreadable
from schemas.job_status import JobState, JobStatus
from schemas.jobs.documents import ConvertDocument, ConvertedDocument, FileSource

_CALLBACK_S = 60.0
_WIDTH = 120
_SAMPLES: dict[str, JobState] = {
    "report.pdf": JobState.COMPLETED,
    "scan.pdf": JobState.COMPLETED,
    "letter.docx": JobState.COMPLETED,
    "page.html": JobState.COMPLETED,
    "broken.pdf": JobState.FAILED,
}


@dataclass
class Walk:
    """One document's way through Corral; times are in seconds on the monotonic clock."""

    name: str
    expected: JobState
    begun: float = field(default_factory=time.monotonic)
    status: JobStatus | None = None
    result: ConvertedDocument | None = None
    callback: Received | None = None
    ended_s: float = 0.0
    called_back_s: float = 0.0

    @property
    def as_it_should_be(self) -> bool:
        """It ended as the sample must, and its callback came, said so and was verified."""
        if self.status is None or self.callback is None or self.status.state is not self.expected:
            return False
        told = self.callback.event["data"]
        if self.expected is JobState.FAILED and told["error"]["code"] != DocumentUnreadable.code:
            return False
        return self.callback.verified and told["id"] == self.status.id and told["state"] == self.expected


class Demo:
    """Runs the walk for every sample and tells what happens as it happens."""

    def __init__(self, stack: Stack, results: Path, say: Callable[[str], None]) -> None:
        """Write results below ``results`` and lines to ``say``."""
        self._stack = stack
        self._results = results
        self._say = say
        self._walks: dict[str, Walk] = {}
        self._arrived = asyncio.Event()

    async def run(self) -> list[Walk]:
        """Send every sample through and give its walk, in the order of the samples."""
        loop = asyncio.get_running_loop()

        def tell(callback: Received) -> None:
            loop.call_soon_threadsafe(self._called_back, callback)

        with receiving(self._stack.callback_secret, tell=tell) as receiver:
            async with Corral(self._stack.api_url) as corral, asyncio.TaskGroup() as group:
                callback = Callback.model_validate({"url": receiver.url})
                walks = [Walk(name, expected) for name, expected in _SAMPLES.items()]
                for walk in walks:
                    group.create_task(self._walk(walk, corral, callback))
        return walks

    async def _walk(self, walk: Walk, corral: Corral, callback: Callback) -> None:
        source = await corral.upload(Path(str(files("corral") / "samples" / walk.name)))
        payload = ConvertDocument(source=FileSource(file=source.ref, name=walk.name))
        job_id = await corral.enqueue("documents.convert", payload, callback=callback)
        self._walks[job_id] = walk
        self._line(walk, "accepted", job_id)
        async with aclosing(corral.events(job_id)) as events:
            async for event in events:
                if event.progress:
                    done = f"{event.progress.done} of {event.progress.total} {event.progress.unit}"
                    self._line(walk, "progress", done)
                elif event.status and event.status.state.final:
                    walk.status, walk.ended_s = event.status, time.monotonic() - walk.begun
        status = walk.status
        if status and status.state is JobState.COMPLETED:
            walk.result = ConvertedDocument.model_validate(await corral.result(job_id))
            markdown = walk.result.artifacts["markdown"]
            await corral.download(markdown.ref, self._results / markdown.name)
            self._line(walk, "done", f"{walk.result.format}, {walk.result.pages} pages")
        elif status:
            self._line(walk, status.state, str(status.error))
        async with asyncio.timeout(_CALLBACK_S):
            while walk.callback is None:
                self._arrived.clear()
                await self._arrived.wait()

    def _called_back(self, callback: Received) -> None:
        walk = self._walks[callback.event["data"]["id"]]
        walk.callback, walk.called_back_s = callback, time.monotonic() - walk.begun
        seal = "signature verified" if callback.verified else "SIGNATURE WRONG"
        self._line(walk, "callback", f"{callback.event['type']}, {seal}, {callback.webhook_id}")
        self._arrived.set()

    def _line(self, walk: Walk, what: str, detail: str) -> None:
        self._say(f"{time.monotonic() - walk.begun:6.2f} s  {walk.name:<12} {what:<9} {detail}")


def demo(data_folder: Path) -> bool:
    """Run the demo; True when every job ended as it should and told so."""
    console = Console(highlight=False, width=_WIDTH)
    begun = time.monotonic()
    results = data_folder / "results"
    made_writable(results)
    with running(data_folder, api_port=free_port(), log_level="warning") as stack:
        console.print(f"Corral is up at {stack.api_url}: embedded Valkey, the API, a worker.\n")
        walks = asyncio.run(Demo(stack, results, lambda line: console.print(line, markup=False, soft_wrap=True)).run())
    console.print()
    console.print(_table(walks))
    console.print(f"The Markdown of each document lies in {results}, everything else in {data_folder}.", soft_wrap=True)
    good = all(walk.as_it_should_be for walk in walks)
    verdict = "Every job ended as it should" if good else "NOT every job ended as it should"
    console.print(f"{verdict}, in {time.monotonic() - begun:.1f} s. broken.pdf has to fail: that is its part.")
    return good


def _table(walks: list[Walk]) -> Table:
    table = Table(
        "document", "ended as", "pages", "read by OCR", "parsed in", "ended after", "callback after", "result"
    )
    for walk in walks:
        result, status = walk.result, walk.status
        table.add_row(
            walk.name,
            f"{status.state}" + (f" ({status.error.code})" if status.error else "") if status else "nothing",
            str(result.pages) if result else "-",
            ", ".join(map(str, result.ocr_pages)) or "-" if result else "-",
            f"{result.parse_s:.2f} s" if result else "-",
            f"{walk.ended_s:.2f} s",
            f"{walk.called_back_s:.2f} s",
            result.artifacts["markdown"].name if result else "-",
        )
    return table
