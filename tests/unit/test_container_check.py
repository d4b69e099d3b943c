"""A container that would blow up is refused before a parser sees it."""

import zipfile
from pathlib import Path

import pytest

from schemas.errors import DocumentTooLarge, DocumentUnreadable
from worker.parser.formats.container_check import check_docx, check_pptx, check_xlsx
from worker.parser.limit import ParserLimits

LIMITS = ParserLimits(max_zip_entries=10, max_unpacked_bytes=30_000_000, max_paragraphs=100)
BODY = "word/document.xml"


def docx(folder: Path, parts: dict[str, bytes]) -> Path:
    """Write a compressed archive."""
    path = folder / "letter.docx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def test_an_ordinary_letter_is_accepted(tmp_path: Path) -> None:
    """As many paragraphs as the limit allows are fine."""
    check_docx(docx(tmp_path, {BODY: b"<w:p/><w:pPr>" + b"<w:p>a</w:p>" * 100}), LIMITS)


@pytest.mark.parametrize(
    ("parts", "limit"),
    [
        ({BODY: b"<w:p>a</w:p>" * 101}, "100 paragraphs"),
        ({BODY: b'<w:p w:rsidR="1">a</w:p>' * 101}, "100 paragraphs"),
        ({BODY: b"", **{f"word/media/{n}.png": b"" for n in range(10)}}, "10 parts"),
        ({BODY: b"", "a": b"\0" * 15_000_000}, "200-fold"),
        ({BODY: b"", "a": b"\0" * 31_000_000}, "30000000 bytes"),
    ],
)
def test_what_is_beyond_a_limit_is_refused(parts: dict[str, bytes], limit: str, tmp_path: Path) -> None:
    """The message names the limit."""
    with pytest.raises(DocumentTooLarge, match=limit):
        check_docx(docx(tmp_path, parts), LIMITS)


def test_a_torn_archive_is_unreadable(tmp_path: Path) -> None:
    """An upload that broke off is no DOCX."""
    path = docx(tmp_path, {BODY: b"<w:p>a</w:p>" * 50})
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DocumentUnreadable):
        check_docx(path, LIMITS)


def test_damaged_bytes_are_unreadable(tmp_path: Path) -> None:
    """The directory may be whole and the content not."""
    path = docx(tmp_path, {BODY: bytes(range(256)) * 50})
    content = bytearray(path.read_bytes())
    content[60:90] = b"\xff" * 30
    path.write_bytes(content)
    with pytest.raises(DocumentUnreadable):
        check_docx(path, LIMITS)


SLIDE = "ppt/slides/slide1.xml"
SHEET = "xl/worksheets/sheet1.xml"
FEW = ParserLimits(max_slides=2, max_paragraphs=100, max_cells=100, max_used_range=1_000)


@pytest.mark.parametrize(
    ("parts", "limit"),
    [
        ({f"ppt/slides/slide{n}.xml": b"" for n in range(3)}, "2 slides"),
        ({SLIDE: b"<a:p>a</a:p>" * 60, "ppt/slides/slide2.xml": b'<a:p id="1">a</a:p>' * 41}, "100 paragraphs"),
    ],
)
def test_a_presentation_beyond_a_limit_is_refused(parts: dict[str, bytes], limit: str, tmp_path: Path) -> None:
    """Its slides count together."""
    check_pptx(docx(tmp_path, {SLIDE: b"<a:p>a</a:p>" * 100, "ppt/slides/_rels/slide1.xml.rels": b""}), FEW)
    with pytest.raises(DocumentTooLarge, match=limit):
        check_pptx(docx(tmp_path, parts), FEW)


@pytest.mark.parametrize(
    ("sheet", "limit"),
    [
        (b'<c r="A1"/>' * 101, "100 cells"),
        (b"<c><v>1</v></c>" * 101, "100 cells"),
        (b'<x:c s="1" r="A1"></x:c><x:c t="s" r="J101"/>', "1000 cells"),
        (b"<c r='A1'/><c  r = 'ALL2'/>", "1000 cells"),
    ],
)
def test_a_workbook_beyond_a_limit_is_refused(sheet: bytes, limit: str, tmp_path: Path) -> None:
    """What counts is the room between its first and its last cell."""
    well = b'<cols/><col/><c r="A1"/><c r="J100"><v>1</v></c>' + b"<c/>" * 98
    check_xlsx(docx(tmp_path, {SHEET: well, "xl/styles.xml": b"<c/>" * 200}), FEW)
    with pytest.raises(DocumentTooLarge, match=limit):
        check_xlsx(docx(tmp_path, {SHEET: sheet}), FEW)


@pytest.mark.parametrize("before", range((1 << 20) - 12, (1 << 20) + 2))
def test_a_cell_across_two_pieces_is_seen(before: int, tmp_path: Path) -> None:
    """Wherever a piece ends, also within its tag."""
    with pytest.raises(DocumentTooLarge, match="used range"):
        check_xlsx(docx(tmp_path, {SHEET: b"-" * before + b'<c r="XFD1048576"/>'}), ParserLimits())
