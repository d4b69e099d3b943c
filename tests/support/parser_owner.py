"""A worker in miniature, to be killed: parses a document and says when it has begun."""

import asyncio
import sys
from pathlib import Path

from schemas.job_status import Progress
from schemas.jobs.documents import ConvertOptions
from worker.adapters.pebble_document_parser import ParserLimits, PebbleDocumentParser


async def main(document: Path) -> None:
    """Parse, and print a line at the first progress."""

    async def report(progress: Progress) -> None:
        print(progress.done, flush=True)  # noqa: T201 - the test waits for it

    async with PebbleDocumentParser(ParserLimits(processes=1)) as parser:
        await parser.parse(
            document, name=document.name, options=ConvertOptions(), folder=document.parent, report=report
        )


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
