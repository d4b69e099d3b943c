"""What the parser makes of formats other than PDF: each is read whole, and nothing else is."""

import json
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from openpyxl import Workbook

from schemas.errors import DocumentTooLarge, DocumentUnreadable
from schemas.jobs.documents import ChunkOptions, ConvertOptions
from tests.support import office_document as made
from tests.support.document import parse, sample
from worker.adapters.pebble_document_parser import ParserLimits, PebbleDocumentParser

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def parser() -> AsyncIterator[PebbleDocumentParser]:
    """One parser for the module, because its libraries take seconds to load."""
    async with PebbleDocumentParser(ParserLimits(processes=1)) as real:
        yield real


def written(folder: Path, name: str, content: str | bytes) -> Path:
    """Write a document."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("name", made.TEXTS)
async def test_a_text_becomes_its_markdown(parser: PebbleDocumentParser, name: str, tmp_path: Path) -> None:
    """Whatever it refers to outside itself is not there."""
    kind, content, expected = made.TEXTS[name]
    parsed = await parse(parser, written(tmp_path, name, content))
    assert (parsed.format, parsed.outputs["markdown"].read_text()) == (kind, expected)


@pytest.mark.parametrize(
    ("make", "kind", "pages", "expected"),
    [
        (made.presentation, "pptx", 3, made.PRESENTATION),
        (made.workbook, "xlsx", 2, made.WORKBOOK),
        (made.book, "epub", 0, made.BOOK),
    ],
)
async def test_a_container_becomes_its_markdown(
    parser: PebbleDocumentParser, make: Callable[[Path], Path], kind: str, pages: int, expected: str, tmp_path: Path
) -> None:
    """Its slides, sheets and chapters in order; what its author has hidden stays so."""
    parsed = await parse(parser, make(tmp_path))
    assert (parsed.format, parsed.pages, parsed.outputs["markdown"].read_text()) == (kind, pages, expected)
    assert "not shown" not in parsed.outputs["text"].read_text().lower()


@pytest.mark.parametrize("kind", made.MAILS)
async def test_a_mail_becomes_its_markdown(parser: PebbleDocumentParser, kind: bytes, tmp_path: Path) -> None:
    """Who wrote what to whom; its attachments are named, and a warning says that they are not read."""
    parsed = await parse(parser, made.mail(tmp_path, kind=kind))
    assert (parsed.format, parsed.title, parsed.outputs["markdown"].read_text()) == (
        "mail",
        "Gr\u00fc\u00dfe",
        made.MAILS[kind],
    )
    assert parsed.warnings == ("attachments of the mail are not read: convert each by itself",)


async def test_a_scan_in_webp_is_read(parser: PebbleDocumentParser, tmp_path: Path) -> None:
    """As one in any other format."""
    parsed = await parse(parser, made.webp(tmp_path))
    assert (parsed.format, parsed.pages, parsed.ocr_pages) == ("webp", 1, (1,))
    assert "Harbour master" in parsed.outputs["text"].read_text()


async def test_a_document_becomes_chunks(parser: PebbleDocumentParser, tmp_path: Path) -> None:
    """As its options say, with what they come to."""
    options = ConvertOptions(outputs=frozenset({"chunks"}), chunking=ChunkOptions(strategy="page", max_tokens=64))
    parsed = await parse(parser, made.presentation(tmp_path), options=options)
    content = json.loads(parsed.outputs["chunks"].read_text())
    assert (content["strategy"], content["tokenizer"]) == ("page", "words")
    assert content["summary"]["chunks"] == len(content["chunks"]) == 2
    first, second = content["chunks"]
    assert (first["index"], first["headings"], first["pages"]) == (0, ["Harbour report"], [1])
    assert (second["text"], second["kinds"]) == ("| Ship | Tons |\n| - | - |\n| Ada | 12 |", ["table"])
    assert first["tokens"] + second["tokens"] == content["summary"]["tokens"]


async def test_a_converted_document_is_chunked_as_the_document_itself(
    parser: PebbleDocumentParser, tmp_path: Path
) -> None:
    """From its JSON, without being read again."""
    options = ConvertOptions(outputs=frozenset({"chunks", "json"}), chunking=ChunkOptions(max_tokens=64))
    parsed = await parse(parser, sample("report.pdf", tmp_path), options=options)
    converted = written(tmp_path, "report.json", parsed.outputs["json"].read_bytes())
    again = await parse(parser, converted, options=options)
    assert (again.format, again.title, again.pages) == ("docling", parsed.title, 3)
    for output in ("chunks", "json"):
        assert again.outputs[output].read_text() == parsed.outputs[output].read_text()


async def test_html_carries_nothing_that_runs(parser: PebbleDocumentParser, tmp_path: Path) -> None:
    """Whoever wrote the document did not write the page's code."""
    page = (
        '<html><body><h1>A</h1><p onclick="run()"><a href="javascript:run()">x</a><script>run()</script> y</p></body>'
    )
    options = ConvertOptions(outputs=frozenset({"html"}))
    parsed = await parse(parser, written(tmp_path, "a.html", page), options=options)
    made_of_it = parsed.outputs["html"].read_text()
    assert "<h1>A</h1>" in made_of_it
    assert "run()" not in made_of_it


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", "{"),
        ("b.json", '{"schema_name": "DoclingDocument", "texts": 7}'),
        ("a.csv", 'a,b\n"never closed\n' + "x" * 200_000),
        ("a.webp", b"RIFF\x10\0\0\0WEBPVP8 ...."),
        ("a.eml", b"From: a\nDate: b\nMIME-Version: 1.0\nContent-Type: text/plain; charset=klingon\n\nqa'pla\n"),
        ("a.xml", '<!DOCTYPE article SYSTEM "JATS-archivearticle1.dtd"><article>'),
    ],
)
async def test_what_is_damaged_says_so(
    parser: PebbleDocumentParser, name: str, content: str | bytes, tmp_path: Path
) -> None:
    """One of each kind."""
    with pytest.raises(DocumentUnreadable):
        await parse(parser, written(tmp_path, name, content))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("deep.json", "[" * 200_000 + "]" * 200_000),
        ("deep.tex", "\\documentclass{a}" + "{" * 5_000 + "}" * 5_000),
        ("deep.adoc", "<div>" * 5_000),
        ("wide.csv", ",".join("a" * 1_000) + ("\n" + "," * 999) * 10 + ("\n" + "b," * 999) * 250),
        ("long.json", '[{"a": 1}' + ', {"a": 1}' * 250_000 + "]"),
    ],
)
async def test_what_would_blow_up_is_too_large(
    parser: PebbleDocumentParser, name: str, content: str, tmp_path: Path
) -> None:
    """Before a parser has met it."""
    with pytest.raises(DocumentTooLarge):
        await parse(parser, written(tmp_path, name, content))


async def test_a_book_that_would_blow_up_is_too_large(parser: PebbleDocumentParser, tmp_path: Path) -> None:
    """In length and in depth."""
    for chapter in ("<p>long</p>" * 400_000, "<div>" * 500):
        with pytest.raises(DocumentTooLarge):
            await parse(parser, made.book(tmp_path, chapter=chapter))


async def test_a_cell_far_away_is_too_large(parser: PebbleDocumentParser, tmp_path: Path) -> None:
    """Five kilobytes that other parsers take gigabytes for."""
    workbook = Workbook()
    workbook.active["XFD1048576"] = "far"
    workbook.save(tmp_path / "far.xlsx")
    with pytest.raises(DocumentTooLarge, match="used range"):
        await parse(parser, tmp_path / "far.xlsx")


async def test_a_part_in_another_encoding_is_refused(parser: PebbleDocumentParser, tmp_path: Path) -> None:
    """Nothing in it could be counted."""
    path = tmp_path / "wide.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
        archive.writestr("xl/worksheets/sheet1.xml", "<worksheet/>".encode("utf-16"))
    with pytest.raises(DocumentUnreadable, match="utf-8"):
        await parse(parser, path)
