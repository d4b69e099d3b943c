"""Refuses a DOCX that would blow up, before a parser sees it."""

import zipfile
import zlib
from pathlib import Path

from schemas.errors import DocumentEncrypted, DocumentTooLarge, DocumentUnreadable
from worker.parser.limit import ParserLimits

_BODY = "word/document.xml"
_CHUNK_BYTES = 1 << 20
# An entry this small may have any ratio: blank XML compresses a thousandfold.
_RATIO_FROM_BYTES = 10 << 20
_ENCRYPTED = 0x1


def check_docx(document: Path, limits: ParserLimits) -> None:
    """Check the container and count the paragraphs.

    Raises:
        DocumentEncrypted: the zip entries need a password.
        DocumentUnreadable: the container is damaged.
        DocumentTooLarge: too many entries, bytes or paragraphs, or a ratio of a bomb.
    """
    try:
        with zipfile.ZipFile(document) as archive:
            _check_entries(archive.infolist(), limits)
            _check_body(archive, limits)
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


def _check_body(archive: zipfile.ZipFile, limits: ParserLimits) -> None:
    # Counted while unpacking, and no further than the limit: sizes in a zip's directory can lie.
    count, unpacked, tail = 0, 0, b""
    with archive.open(_BODY) as body:
        while chunk := body.read(_CHUNK_BYTES):
            unpacked += len(chunk)
            text = tail + chunk
            count += text.count(b"<w:p ") + text.count(b"<w:p>")
            tail = text[-4:]
            if count > limits.max_paragraphs:
                raise DocumentTooLarge(f"the document has over {limits.max_paragraphs} paragraphs: split it")
            if unpacked > limits.max_unpacked_bytes:
                raise DocumentTooLarge(f"the document unpacks to over {limits.max_unpacked_bytes} bytes: split it")
