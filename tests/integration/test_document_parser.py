"""What every document parser promises, and what the real one makes of the samples."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from schemas.errors import (
    CorralError,
    DocumentEncrypted,
    DocumentTooLarge,
    DocumentUnreadable,
    DocumentUnsupported,
)
from schemas.job_status import Progress
from schemas.jobs.documents import ConvertOptions
from tests.support.document import bomb_docx, encrypted_pdf, parse, sample
from tests.support.fake_document_parser import FakeDocumentParser
from tests.support.make_samples import SCAN
from worker.adapters.pebble_document_parser import ParserLimits, PebbleDocumentParser
from worker.ports import DocumentParser

pytestmark = pytest.mark.asyncio(loop_scope="module")

SAMPLES = {
    "report.pdf": ("pdf", 3),
    "scan.pdf": ("pdf", 1),
    "letter.docx": ("docx", 0),
    "page.html": ("html", 0),
    "notes.md": ("markdown", 0),
    "plain.txt": ("text", 0),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def real() -> AsyncIterator[PebbleDocumentParser]:
    """The adapter; one for the module, because its libraries take two seconds to load."""
    async with PebbleDocumentParser(ParserLimits(processes=1)) as parser:
        yield parser


@pytest_asyncio.fixture(params=["fake", "real"], loop_scope="module")
async def parser(request: pytest.FixtureRequest, real: PebbleDocumentParser) -> DocumentParser:
    """Each parser that fills the port."""
    return FakeDocumentParser() if request.param == "fake" else real


async def refusal(parser: DocumentParser, document: Path, options: ConvertOptions | None = None) -> CorralError:
    """Give the error by which a parser refuses a document."""
    with pytest.raises(CorralError) as caught:
        await parse(parser, document, options=options)
    message = str(caught.value)
    assert message[0].islower()
    assert str(document.parent) not in message
    return caught.value


@pytest.mark.parametrize("name", SAMPLES)
async def test_every_sample_is_parsed(parser: DocumentParser, name: str, tmp_path: Path) -> None:
    """A parser tells a document's format and pages and writes a file per output."""
    parsed = await parse(parser, sample(name, tmp_path))
    assert (parsed.format, parsed.pages) == SAMPLES[name]
    assert set(parsed.outputs) == {"markdown", "json", "text"}
    assert all(path.stat().st_size > 0 for path in parsed.outputs.values())


async def test_only_the_outputs_asked_for_are_written(parser: DocumentParser, tmp_path: Path) -> None:
    """Nobody pays for an output that nobody wants."""
    parsed = await parse(parser, sample("notes.md", tmp_path), options=ConvertOptions(outputs=frozenset({"text"})))
    assert list(parsed.outputs) == ["text"]
    assert [path.name for path in (tmp_path / "notes.md.out").iterdir()] == ["document.txt"]


async def test_parsing_again_gives_the_same(parser: DocumentParser, tmp_path: Path) -> None:
    """A second attempt into the same folder is safe."""
    document = sample("page.html", tmp_path)
    first = (await parse(parser, document)).outputs["markdown"].read_text()
    assert (await parse(parser, document)).outputs["markdown"].read_text() == first


async def test_progress_counts_the_pages(parser: DocumentParser, tmp_path: Path) -> None:
    """The last report says that all pages are done, and none goes back."""
    seen: list[Progress] = []
    await parse(parser, sample("report.pdf", tmp_path), seen=seen)
    assert seen[-1] == Progress(done=3, total=3, unit="pages")
    assert [each.done for each in seen] == sorted(each.done for each in seen)


async def test_bytes_decide_and_not_the_name(parser: DocumentParser, tmp_path: Path) -> None:
    """A PDF that is called a Word document is a PDF."""
    parsed = await parse(parser, sample("report.pdf", tmp_path), name="report.docx")
    assert parsed.format == "pdf"


async def test_an_encrypted_document_is_refused(parser: DocumentParser, tmp_path: Path) -> None:
    """A password is nobody's to guess."""
    assert isinstance(await refusal(parser, encrypted_pdf(tmp_path)), DocumentEncrypted)


@pytest.mark.parametrize("content", [b"", b" \n\n ", bytes(range(256)) * 8, b"PK\x03\x04 and no zip"])
async def test_what_is_no_document_is_unreadable(parser: DocumentParser, content: bytes, tmp_path: Path) -> None:
    """Empty files, noise and damaged containers are not worth another attempt."""
    document = tmp_path / "letter.docx"
    document.write_bytes(content)
    assert isinstance(await refusal(parser, document), DocumentUnreadable)


async def test_the_broken_sample_is_unreadable(parser: DocumentParser, tmp_path: Path) -> None:
    """Even a parser that repairs PDFs finds nothing in it."""
    assert isinstance(await refusal(parser, sample("broken.pdf", tmp_path)), DocumentUnreadable)


async def test_an_unknown_format_is_unsupported(parser: DocumentParser, tmp_path: Path) -> None:
    """The message names formats that would do."""
    document = tmp_path / "letter.rtf"
    document.write_bytes(rb"{\rtf1 Dear neighbours}")
    error = await refusal(parser, document)
    assert isinstance(error, DocumentUnsupported)
    assert "pdf, docx, pptx" in str(error)


async def test_too_many_pages_are_refused(parser: DocumentParser, tmp_path: Path) -> None:
    """The limit is the caller's, and it is checked before a page is read."""
    error = await refusal(parser, sample("report.pdf", tmp_path), ConvertOptions(max_pages=2))
    assert isinstance(error, DocumentTooLarge)


async def test_headings_and_tables_of_a_pdf_come_through(real: PebbleDocumentParser, tmp_path: Path) -> None:
    """Markdown has the headings, and the ruled table once, with its header."""
    parsed = await parse(real, sample("report.pdf", tmp_path))
    markdown = parsed.outputs["markdown"].read_text()
    assert parsed.title == "Annual report of the fleet"
    assert [line for line in markdown.splitlines() if line.startswith("#")] == [
        "## Annual report of the fleet",
        "## 1 Summary",
        "## 2 Method",
        "## 3 Results",
        "## 4 Outlook",
    ]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in markdown.splitlines() if "|" in line]
    assert rows[0] == ["Quarter", "Jobs", "Retries", "Dead letters"]
    assert rows[-1] == ["Q4", "160,775", "871", "4"]
    assert markdown.count("Dead letters") == 1


async def test_the_structure_keeps_pages_and_boxes(real: PebbleDocumentParser, tmp_path: Path) -> None:
    """JSON is a DoclingDocument in which every text says where it stands."""
    parsed = await parse(real, sample("report.pdf", tmp_path))
    document = json.loads(parsed.outputs["json"].read_text())
    assert document["schema_name"] == "DoclingDocument"
    assert {place["page_no"] for text in document["texts"] for place in text["prov"]} == {1, 2, 3}
    assert document["tables"][0]["data"]["num_rows"] == 5


async def test_a_scan_is_read_by_ocr(real: PebbleDocumentParser, tmp_path: Path) -> None:
    """A page without text is read from its picture, and the result says which page it was."""
    parsed = await parse(real, sample("scan.pdf", tmp_path))
    text = parsed.outputs["text"].read_text()
    assert parsed.ocr_pages == (1,)
    assert [line for line in SCAN if line not in text] == []


async def test_a_scan_is_read_without_tesseract(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A laptop has no tesseract: RapidOCR reads as well, and fetches nothing to do so."""
    monkeypatch.setenv("PATH", str(tmp_path))
    async with PebbleDocumentParser(ParserLimits(processes=1)) as parser:
        parsed = await parse(parser, sample("scan.pdf", tmp_path))
    assert parsed.ocr_pages == (1,)
    assert [line for line in SCAN if line not in parsed.outputs["text"].read_text()] == []


async def test_ocr_can_be_forced_and_forbidden(real: PebbleDocumentParser, tmp_path: Path) -> None:
    """``never`` leaves a scan without text and says so; ``force`` reads a page that has text."""
    never = await parse(real, sample("scan.pdf", tmp_path), options=ConvertOptions(ocr="never"))
    forced = await parse(real, sample("scan.pdf", tmp_path), options=ConvertOptions(ocr="force"))
    assert (never.ocr_pages, never.warnings) == ((), ("no text was found",))
    assert forced.ocr_pages == (1,)


async def test_word_and_web_pages_keep_their_tables(real: PebbleDocumentParser, tmp_path: Path) -> None:
    """Headings, lists and tables of DOCX and HTML are Markdown's."""
    letter = (await parse(real, sample("letter.docx", tmp_path))).outputs["markdown"].read_text()
    page = await parse(real, sample("page.html", tmp_path))
    assert "- Keep the gate shut." in letter
    assert "| Monday " in letter
    assert page.title == "Opening hours"
    assert "| Adults " in page.outputs["markdown"].read_text()


async def test_a_page_keeps_its_letters(real: PebbleDocumentParser, tmp_path: Path) -> None:
    """What a page says of its own encoding is heeded once, and not again by the library."""
    page = tmp_path / "page.html"
    page.write_bytes('<html><meta charset="iso-8859-1"><body><h1>Grüße für 5 €</h1></body></html>'.encode("cp1252"))
    assert (await parse(real, page)).outputs["markdown"].read_text() == "# Grüße für 5 €\n"


async def test_a_zip_bomb_is_refused(real: PebbleDocumentParser, tmp_path: Path) -> None:
    """A part that expands a thousandfold is never unpacked."""
    assert isinstance(await refusal(real, bomb_docx(tmp_path)), DocumentTooLarge)


async def test_deep_markup_is_refused(real: PebbleDocumentParser, tmp_path: Path) -> None:
    """HTML nested a hundred thousand deep would hang the parser."""
    document = tmp_path / "deep.html"
    document.write_text("<html><body>" + "<div>" * 100_000, encoding="utf-8")
    assert isinstance(await refusal(real, document), DocumentTooLarge)


async def test_the_worker_loads_no_document_library() -> None:
    """A worker stays small, and a parser's native code never runs beside its secrets."""
    code = (
        "import sys, worker.adapters.pebble_document_parser\n"
        "print({'docling', 'docling_core', 'pymupdf', 'onnxruntime', 'PIL'} & set(sys.modules))"
    )
    fresh = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    printed, _ = await fresh.communicate()
    assert printed.strip() == b"set()"
