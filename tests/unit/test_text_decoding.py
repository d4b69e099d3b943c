"""Text of unknown encoding is read, and what was assumed is said."""

from pathlib import Path

import pytest

from worker.parser.text_decoding import decode

TEXT = "Grüße für 5 €"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_unicode_is_read_without_a_word(encoding: str, tmp_path: Path) -> None:
    """UTF-8 and marked UTF-16 are certain."""
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
