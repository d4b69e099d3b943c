"""Refuses a document in a zip container that would blow up, before a parser sees it."""

import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import DocumentEncrypted, DocumentTooLarge, DocumentUnreadable
from worker.parser.limit import ParserLimits

_CHUNK_BYTES = 1 << 20
# An entry this small may have any ratio: blank XML compresses a thousandfold.
_RATIO_FROM_BYTES = 10 << 20
_ENCRYPTED = 0x1
_SLIDE = re.compile(r"ppt/slides/[^/]+\.xml")
_SHEET = re.compile(r"xl/worksheets/[^/]+\.xml")
_PARAGRAPH = re.compile(rb"<(?:w:p|a:p)[ >]")
# Where a cell does not say its place, it is next to the one before.
_CELL = re.compile(rb"<(?:\w+:)?c(?:\s(?:[^>]*?\s)?r\s*=\s*[\"']([A-Z]{1,3})(\d{1,7})[\"']|[\s/>])")
_CELL_BYTES = 200


def check_docx(document: Path, limits: ParserLimits) -> None:
    """Check the container of a Word document and count its paragraphs.

    Raises:
        DocumentEncrypted: the zip entries need a password.
        DocumentUnreadable: the container is damaged.
        DocumentTooLarge: too many entries, bytes or paragraphs, or a ratio of a bomb.
    """
    with opened(document, limits) as archive:
        _count_paragraphs(archive, ["word/document.xml"], limits)


def check_pptx(document: Path, limits: ParserLimits) -> None:
    """Check the container of a presentation, and count its slides and their paragraphs.

    Raises:
        CorralError: as ``check_docx``; DocumentTooLarge also for too many slides.
    """
    with opened(document, limits) as archive:
        slides = [name for name in archive.namelist() if _SLIDE.fullmatch(name)]
        if len(slides) > limits.max_slides:
            raise DocumentTooLarge(f"the document has over {limits.max_slides} slides: split it")
        _count_paragraphs(archive, slides, limits)


def check_xlsx(document: Path, limits: ParserLimits) -> None:
    """Check the container of a workbook; count its cells and the room that they span.

    A cell far away costs as much as all the empty ones before it, so what counts is the used range.

    Raises:
        CorralError: as ``check_docx``; DocumentTooLarge for too many cells, or too large a range.
    """
    cells = room = 0
    with opened(document, limits) as archive:
        for name in archive.namelist():
            if not _SHEET.fullmatch(name):
                continue
            columns = rows = 0
            for text in _chunks(archive, name, limits, overlap=_CELL_BYTES):
                for column, row in _CELL.findall(text):
                    cells, columns, rows = cells + 1, max(columns, _number(column)), max(rows, int(row or 0))
                if cells > limits.max_cells:
                    raise DocumentTooLarge(f"the workbook has over {limits.max_cells} cells: split it, or import it")
            room += columns * rows
            if room > limits.max_used_range:
                raise DocumentTooLarge(
                    f"the workbook's used range is over {limits.max_used_range} cells: remove what lies far away"
                )


@contextmanager
def opened(document: Path, limits: ParserLimits) -> Iterator[zipfile.ZipFile]:
    """Open a container whose entries are checked.

    Raises:
        CorralError: as ``check_docx``, but for what is inside the entries.
    """
    try:
        with zipfile.ZipFile(document) as archive:
            _check_entries(archive.infolist(), limits)
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, NotImplementedError) as error:
        raise DocumentUnreadable("the document's zip container is damaged: export it again") from error


def _check_entries(entries: list[zipfile.ZipInfo], limits: ParserLimits) -> None:
    if len(entries) > limits.max_zip_entries:
        raise DocumentTooLarge(f"the document has over {limits.max_zip_entries} parts: split it")
    if sum(entry.file_size for entry in entries) > limits.max_unpacked_bytes:
        raise DocumentTooLarge(f"the document unpacks to over {limits.max_unpacked_bytes} bytes: split it")
    for entry in entries:
        if entry.flag_bits & _ENCRYPTED:
            raise DocumentEncrypted("the document needs a password: save it without one")
        ratio = entry.file_size / max(entry.compress_size, 1)
        if entry.file_size > _RATIO_FROM_BYTES and ratio > limits.max_zip_ratio:
            raise DocumentTooLarge(f"a part of the document expands over {limits.max_zip_ratio}-fold: export it again")


def _count_paragraphs(archive: zipfile.ZipFile, names: list[str], limits: ParserLimits) -> None:
    count = 0
    for name in names:
        for text in _chunks(archive, name, limits, overlap=len("<w:p") - 1):
            count += len(_PARAGRAPH.findall(text))
            if count > limits.max_paragraphs:
                raise DocumentTooLarge(f"the document has over {limits.max_paragraphs} paragraphs: split it")


def _chunks(archive: zipfile.ZipFile, name: str, limits: ParserLimits, *, overlap: int) -> Iterator[bytes]:
    """Give a part in pieces, each beginning with the last tag of the one before when that is unfinished.

    Unpacked no further than the limit: sizes in a zip's directory can lie.
    """
    unpacked, tail = 0, b""
    with archive.open(name) as part:
        while chunk := part.read(_CHUNK_BYTES):
            if b"\0" in chunk:
                raise DocumentUnreadable("a part of the document is not in utf-8: export it again")
            unpacked += len(chunk)
            if unpacked > limits.max_unpacked_bytes:
                raise DocumentTooLarge(f"the document unpacks to over {limits.max_unpacked_bytes} bytes: split it")
            text = tail + chunk
            begun = text.rfind(b"<", max(len(text) - overlap, 0))
            tail = text[begun:] if begun >= 0 and b">" not in text[begun:] else b""
            yield text[: len(text) - len(tail)]
    if tail:
        yield tail


def _number(column: bytes) -> int:
    number = 0
    for letter in column:
        number = number * 26 + letter - ord("A") + 1
    return number
