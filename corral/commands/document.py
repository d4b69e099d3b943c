"""``corral doc``: convert one document here and now, without a queue."""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

import click
from pydantic import ValidationError

from corral.commands.connection import explained
from schemas import settings as environment
from schemas.artifact import file_name
from schemas.envelope import describe
from schemas.errors import FileMissing
from schemas.job_status import Progress
from schemas.jobs.documents import ConvertOptions, OcrMode, OutputName
from worker import app
from worker.ports import ParsedDocument
from worker.settings import DocumentSettings

_OUTPUTS: tuple[OutputName, ...] = ("markdown", "json", "text", "html", "chunks")
_STANDARD_INPUT = "-"
_OCR: tuple[OcrMode, ...] = ("auto", "force", "never")


@click.command()
@click.argument("source")
@click.option("--output", type=click.Choice(_OUTPUTS), default="markdown", show_default=True, help="What to print.")
@click.option("--ocr", type=click.Choice(_OCR), default="auto", show_default=True, help="Which pages OCR reads.")
@click.option("--language", "languages", multiple=True, default=("en",), show_default=True, help="For OCR: ISO 639.")
@explained
def doc(source: str, output: OutputName, ocr: OcrMode, languages: tuple[str, ...]) -> None:
    """Convert SOURCE, a file, an http(s) address or -, and print what it became.

    \b
    corral doc report.pdf > report.md
    corral doc - < report.pdf
    """  # noqa: D301 - click's mark before lines that stay as they are
    try:
        options = ConvertOptions(outputs=frozenset({output}), ocr=ocr, languages=languages)
    except ValidationError as error:
        raise click.UsageError(describe(error)) from error
    settings = environment.load(DocumentSettings)
    with tempfile.TemporaryDirectory(prefix="corral-doc-") as name:
        folder = Path(name)
        if source == _STANDARD_INPUT:
            # Before there is a loop: Ctrl-C would end that, and not the waiting for the next byte.
            source = str(_saved(sys.stdin.buffer, folder / "document"))
        parsed = asyncio.run(_convert(source, folder, options, settings))
        for warning in parsed.warnings:
            click.echo(f"warning: {warning}", err=True)
        click.echo(parsed.outputs[output].read_text().rstrip("\n"))


async def _convert(source: str, folder: Path, options: ConvertOptions, settings: DocumentSettings) -> ParsedDocument:
    document, named = await _obtain(source, folder / "source", settings)
    async with app.document_parser(settings) as parser:
        return await parser.parse(document, name=named, options=options, folder=folder, report=_progress())


def _saved(stream: BinaryIO, into: Path) -> Path:
    with into.open("wb") as file:
        shutil.copyfileobj(stream, file)
    return into


async def _obtain(source: str, into: Path, settings: DocumentSettings) -> tuple[Path, str]:
    if source.startswith(("http://", "https://")):
        async with app.source_fetcher(settings) as fetcher:
            await fetcher.fetch(source, into)
        return into, file_name(unquote(urlsplit(source).path))
    if not (here := Path(source)).is_file():
        raise FileMissing(f"there is no file {source}")
    return here, here.name


def _progress() -> Callable[[Progress], Awaitable[None]]:
    # Only a person at a terminal wants to see it; a pipe wants the document alone.
    watched = sys.stderr.isatty()

    async def report(progress: Progress) -> None:
        if watched:
            click.echo(f"\r{progress.done} of {progress.total} {progress.unit} ", err=True, nl=False)

    return report
