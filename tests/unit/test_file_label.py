"""What an upload says of itself is made safe before anybody believes it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.api.file_label import media_type
from schemas.artifact import file_name


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\ada\\report.pdf", "report.pdf"),
        ("résumé 报告.pdf", "résumé 报告.pdf"),
        ("a\r\nX-Evil: 1\x00.pdf", "aX-Evil: 1.pdf"),
        ("", "file"),
        ("..", "file"),
        (" \t", "file"),
        ("folder/", "file"),
        ("x" * 300 + ".pdf", "x" * 251 + ".pdf"),
    ],
)
def test_a_name_is_its_last_part(given_name: str, kept: str) -> None:
    """No folders, no control characters, never empty, and its suffix is kept."""
    assert file_name(given_name) == kept


@pytest.mark.parametrize("good", ["application/pdf", "text/html; charset=utf-8", "image/svg+xml", 'a/b; c="d e"'])
def test_a_media_type_is_kept(good: str) -> None:
    """As the caller said."""
    assert media_type(f" {good} ") == good


@pytest.mark.parametrize("bad", ["", "pdf", "text/plain\r\nX: 1", "text/héllo", "a/b; c", "a/" + "b" * 200])
def test_what_is_no_media_type_is_only_bytes(bad: str) -> None:
    """It goes into a header of ours, so it must be one."""
    assert media_type(bad) == "application/octet-stream"


@given(st.text())
def test_any_name_can_be_stored_and_sent_back(given_name: str) -> None:
    """Whatever is left is short, printable and no path."""
    kept = file_name(given_name)
    assert 0 < len(kept) <= 255
    assert kept.isprintable()
    assert not {"/", "\\"} & set(kept)
    assert kept not in {".", ".."}


@given(st.text())
def test_any_media_type_fits_into_a_header(given_type: str) -> None:
    """Whatever is left is ASCII on one line."""
    assert media_type(given_type).isascii()
    assert media_type(given_type).isprintable()
