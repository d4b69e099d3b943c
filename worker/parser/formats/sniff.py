"""What a file is, from its bytes; its name only tells texts apart that look the same."""

import re
import zipfile
from pathlib import Path

from schemas.errors import DocumentEncrypted, DocumentUnreadable, DocumentUnsupported
from worker.parser.formats.format import Format
from worker.parser.formats.text_decoding import WIDE_MARKS
from worker.parser.formats.text_format import text_format

_HEAD_BYTES = 64 * 1024
_SUPPORTED = "convert it to pdf, docx, pptx, xlsx, epub, html, markdown, plain text, png, jpeg, tiff or webp"

# PDF readers accept leading bytes, up to 1,024 of them (PDF 32000-1, annex H, note 13).
_PDF_WITHIN = 1024
# Control characters that no text has; form feed and escape do occur in old ones.
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_FOREIGN = {
    b"{\\rtf": "rtf",
    b"\x1f\x8b": "gzip",
    b"7z\xbc\xaf": "7z",
    b"Rar!": "rar",
    b"GIF8": "gif",
    b"BM": "bmp",
    b"RIFF": "riff",
    b"%!PS": "postscript",
    b"\x7fELF": "elf",
    b"MZ": "exe",
    b"ID3": "mp3",
    b"OggS": "ogg",
    b"SQLite format 3": "sqlite",
}


# The part that makes a zip archive a document of its kind.
_PARTS = {
    "word/document.xml": Format.DOCX,
    "ppt/presentation.xml": Format.PPTX,
    "xl/workbook.xml": Format.XLSX,
    "META-INF/container.xml": Format.EPUB,
}
_IMAGES = {
    b"\x89PNG\r\n\x1a\n": Format.PNG,
    b"\xff\xd8\xff": Format.JPEG,
    b"II*\x00": Format.TIFF,
    b"MM\x00*": Format.TIFF,
}


def sniff(document: Path, name: str) -> Format:
    """Tell a file's format.

    Raises:
        DocumentEncrypted: an Office document behind a password.
        DocumentUnreadable: empty, or bytes of no known format.
        DocumentUnsupported: a known format that no parser here reads.
    """
    with document.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head.strip():
        raise DocumentUnreadable("the document is empty: upload it again")
    if b"%PDF-" in head[: _PDF_WITHIN + 5]:
        return Format.PDF
    if head.startswith(b"PK\x03\x04"):
        return _inside_zip(document)
    for magic, image in _IMAGES.items():
        if head.startswith(magic):
            return image
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return Format.WEBP
    _refuse_foreign(head, document)
    return _text(head, name)


def _text(head: bytes, name: str) -> Format:
    if not head.startswith(tuple(WIDE_MARKS)) and _BINARY.search(head):
        raise DocumentUnreadable(f"the bytes are of no known document format: {_SUPPORTED}")
    return text_format(_narrow(head), name)


def _narrow(head: bytes) -> bytes:
    """Give the bytes of a text as far as its markup needs them, whichever Unicode it is in."""
    for mark in WIDE_MARKS:
        if head.startswith(mark):
            return head.removeprefix(mark).replace(b"\x00", b"")
    return head.removeprefix(b"\xef\xbb\xbf")


def _inside_zip(document: Path) -> Format:
    try:
        with zipfile.ZipFile(document) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise DocumentUnreadable("the document's zip container is damaged: export it again") from error
    for part, kind in _PARTS.items():
        if part in names:
            return kind
    if "mimetype" in names:
        raise DocumentUnsupported(f"opendocument is not read: {_SUPPORTED}")
    raise DocumentUnsupported(f"a zip archive is not read: {_SUPPORTED}")


def _refuse_foreign(head: bytes, document: Path) -> None:
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        # Office wraps an encrypted document in the container of its old formats; the directory
        # that names the stream may lie anywhere in it.
        if "EncryptedPackage".encode("utf-16-le") in document.read_bytes():
            raise DocumentEncrypted("the document needs a password: save it without one")
        raise DocumentUnsupported(f"old office formats (doc, xls, ppt, msg) are not read: {_SUPPORTED}")
    for magic, kind in _FOREIGN.items():
        # Two letters alone may begin any text.
        if head.startswith(magic) and (len(magic) > 2 or _BINARY.search(head)):  # noqa: PLR2004
            raise DocumentUnsupported(f"{kind} is not read: {_SUPPORTED}")
