"""A file's bytes tell its format; its name only tells texts apart that look the same."""

import contextlib
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.errors import DocumentEncrypted, DocumentUnreadable, DocumentUnsupported, Permanent
from worker.parser.formats.format import Format
from worker.parser.formats.sniff import sniff

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def written(folder: Path, content: bytes) -> Path:
    """Write a file of no particular name."""
    path = folder / "document"
    path.write_bytes(content)
    return path


def zipped(folder: Path, *parts: str) -> Path:
    """Write a zip archive of empty parts."""
    path = folder / "document"
    with zipfile.ZipFile(path, "w") as archive:
        for part in parts:
            archive.writestr(part, "")
    return path


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"%PDF-1.7\n...", Format.PDF),
        (b"\xef\xbb\xbf\n%PDF-1.4", Format.PDF),
        (b"\x89PNG\r\n\x1a\n...", Format.PNG),
        (b"\xff\xd8\xff\xe0...", Format.JPEG),
        (b"II*\x00...", Format.TIFF),
        (b"<!DOCTYPE html><html>", Format.HTML),
        (b"\xef\xbb\xbf\n <HTML lang='en'>", Format.HTML),
        (b"<?xml version='1.0'?><!-- made by hand --><html>", Format.HTML),
        ("<html><body>".encode("utf-16"), Format.HTML),
        ("caf\u00e9 \u20ac".encode(), Format.TEXT),
        ("caf\u00e9".encode("latin-1"), Format.TEXT),
        ("plain".encode("utf-16"), Format.TEXT),
        (b"BM is how this sentence begins", Format.TEXT),
        (b"<htmlish> is no tag", Format.TEXT),
        (b"RIFF\x10\x00\x00\x00WEBPVP8 ", Format.WEBP),
        (b'<?xml version="1.0"?>\n<!DOCTYPE article SYSTEM "JATS-archivearticle1.dtd">', Format.JATS),
        (b"% a comment\n\\documentclass[a4paper]{article}\n", Format.LATEX),
        (b"Received: from a\r\n by b\r\nFrom: ada@example.org\r\n\r\nHi.", Format.MAIL),
        (b"From: the beginning\nof a story\n", Format.TEXT),
        (b"Name: Ada\nFrom: Rome\n\nA card.", Format.TEXT),
    ],
)
def test_the_bytes_tell_the_format(content: bytes, expected: Format, tmp_path: Path) -> None:
    """Marks at the beginning decide, whatever the name says."""
    assert sniff(written(tmp_path, content), "misleading.docx") is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.md", Format.MARKDOWN),
        ("A.MARKDOWN", Format.MARKDOWN),
        ("a.adoc", Format.ASCIIDOC),
        ("a.csv", Format.CSV),
        ("a.json", Format.JSON),
        ("a.tex", Format.LATEX),
        ("a.txt", Format.TEXT),
        ("md", Format.TEXT),
        ("", Format.TEXT),
    ],
)
def test_the_name_tells_one_text_from_another(name: str, expected: Format, tmp_path: Path) -> None:
    """Markdown is text that somebody calls Markdown; the same is true of the others."""
    assert sniff(written(tmp_path, b"# Title\n"), name) is expected


@pytest.mark.parametrize(
    ("parts", "refused"),
    [
        (["mimetype"], "opendocument"),
        (["a.txt"], "zip"),
    ],
)
def test_other_archives_are_named(parts: list[str], refused: str, tmp_path: Path) -> None:
    """The message says what the file is and what would do instead."""
    with pytest.raises(DocumentUnsupported, match=f"{refused}.*convert it to pdf, docx"):
        sniff(zipped(tmp_path, *parts), "")


def test_a_word_document_is_known_by_its_body(tmp_path: Path) -> None:
    """DOCX is a zip archive with one part that no other format has."""
    assert sniff(zipped(tmp_path, "[Content_Types].xml", "word/document.xml"), "") is Format.DOCX


@pytest.mark.parametrize(
    "content", [b"{\\rtf1", b"GIF89a", b"MZ\x90\x00", OLE + b"\x00" * 600, b"<?xml version='1.0'?><a/>"]
)
def test_known_formats_that_are_not_read_are_unsupported(content: bytes, tmp_path: Path) -> None:
    """A format that exists is not called damaged."""
    with pytest.raises(DocumentUnsupported):
        sniff(written(tmp_path, content), "")


def test_an_encrypted_word_document_is_told_from_an_old_one(tmp_path: Path) -> None:
    """Office hides an encrypted DOCX in the container of its old formats."""
    content = OLE + b"\x00" * 100_000 + "EncryptedPackage".encode("utf-16-le")
    with pytest.raises(DocumentEncrypted):
        sniff(written(tmp_path, content), "letter.docx")


@pytest.mark.parametrize("content", [b"", b" \n\t\r\n", b"\x00\x01\x02", b"PK\x03\x04 torn"])
def test_nothing_and_noise_are_unreadable(content: bytes, tmp_path: Path) -> None:
    """No format is guessed for what has none."""
    with pytest.raises(DocumentUnreadable):
        sniff(written(tmp_path, content), "report.pdf")


@given(content=st.binary(max_size=300), name=st.text(max_size=20))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
def test_any_bytes_get_a_format_or_a_refusal(content: bytes, name: str, tmp_path: Path) -> None:
    """Sniffing ends in a format or in an error that no retry will mend, and in nothing else."""
    with contextlib.suppress(Permanent):
        assert sniff(written(tmp_path, content), name) in Format
