"""Text of unknown encoding is read, and what was assumed is said."""

from pathlib import Path

import pytest

from worker.parser.formats.text_decoding import decode, decode_html

TEXT = "Grüße für 5 €"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_unicode_is_read_without_a_word(encoding: str, tmp_path: Path) -> None:
    """UTF-8 and marked UTF-16 and UTF-32 are certain."""
    path = tmp_path / "text"
    path.write_bytes(TEXT.encode(encoding))
    assert decode(path) == (TEXT, ())


def test_another_encoding_is_assumed_and_said(tmp_path: Path) -> None:
    """What is not UTF-8 is read as Windows-1252, with a warning for the owner."""
    path = tmp_path / "text"
    path.write_bytes(TEXT.encode("cp1252"))
    text, warnings = decode(path)
    assert text == TEXT
    assert "windows-1252" in warnings[0]


def page(declared: str, text: str = TEXT, encoding: str = "cp1252") -> bytes:
    """Write a page as a server does that knows its encoding, or believes it does."""
    return f'<html><head><meta charset="{declared}"></head><body><h1>{text}</h1></body></html>'.encode(encoding)


@pytest.mark.parametrize(
    ("declared", "text", "encoding"),
    [
        ("iso-8859-1", TEXT, "cp1252"),
        ("latin5", "Ayşe", "cp1254"),
        ("Shift_JIS", "日本語①", "cp932"),
        ("gb2312", "鎔汉语", "gb18030"),
        ("windows-1251", "Привет", "cp1251"),
        # Who declares wrongly is not believed: the bytes say UTF-8.
        ("iso-8859-1", TEXT, "utf-8"),
    ],
)
def test_a_page_is_read_as_it_declares(declared: str, text: str, encoding: str, tmp_path: Path) -> None:
    """As a browser reads it, and without a warning."""
    path = tmp_path / "page"
    path.write_bytes(page(declared, text, encoding))
    read, warnings = decode_html(path)
    assert f"<h1>{text}</h1>" in read
    assert warnings == ()


@pytest.mark.parametrize("declared", ["", "klingon", "utf-8", "punycode", "unicode_escape", "zlib"])
def test_a_page_that_declares_nonsense_is_read_as_any_text(declared: str, tmp_path: Path) -> None:
    """An encoding that no page is written in is none, however Python calls it."""
    path = tmp_path / "page"
    path.write_bytes(page(declared))
    read, warnings = decode_html(path)
    assert TEXT in read
    assert "windows-1252" in warnings[0]
