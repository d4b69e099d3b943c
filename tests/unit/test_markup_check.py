"""Markup that would hang a parser is refused, and ordinary markup is not."""

import pytest

from schemas.errors import DocumentTooLarge
from worker.parser.formats.markup_check import check_html, check_markdown, check_text
from worker.parser.limit import ParserLimits

LIMITS = ParserLimits(max_markup_bytes=200_000, max_text_bytes=1_000, max_markup_depth=20, max_quote_depth=5)


@pytest.mark.parametrize(
    "text",
    [
        "<div>" * 21,
        "<table><tr><td>" * 21,
        "<ul><li>" * 21,
        "<blockquote class='a'\n id='b'>" * 21,
    ],
)
def test_deep_html_is_refused(text: str) -> None:
    """What nests deeper than the limit is not parsed, closed or not."""
    with pytest.raises(DocumentTooLarge, match="deeper than 20"):
        check_html(text, LIMITS)


@pytest.mark.parametrize(
    "text",
    [
        "<div><p>text</p></div>" * 1_000,
        "<p>never closed" * 1_000,
        "<ul>" + "<li>never closed" * 1_000 + "</ul>",
        "<br><img src='a'><input>" * 1_000,
        "<svg><path d='M0'/></svg>" * 1_000,
        "<script>if (a < b) { '<div>'.repeat(99) }</script>" * 100,
        "<!-- " + "<div>" * 100 + " -->",
        "</div>" * 1_000 + "<div>" * 19,
    ],
)
def test_long_but_flat_html_is_accepted(text: str) -> None:
    """Many elements beside each other are no depth, however sloppily they are closed."""
    check_html(text, LIMITS)


def test_a_run_of_unclosed_tags_is_checked_in_time() -> None:
    """The check itself is linear: it must not hang where it is to save a parser from hanging."""
    check_html("<a" * 60_000, LIMITS)


def test_long_html_is_refused() -> None:
    """The length of markup has a limit of its own."""
    with pytest.raises(DocumentTooLarge, match="200000 characters"):
        check_html("a" * 200_001, LIMITS)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("> " * 6 + "deep", 5),
        (">" * 6, 5),
        ("- > " * 6 + "deep", 5),
        ("\n".join("  " * n + "- item" for n in range(30)), 20),
        ("<div>" * 21, 20),
    ],
)
def test_deep_markdown_is_refused(text: str, limit: int) -> None:
    """Quotes, lists and HTML inside Markdown nest as well."""
    with pytest.raises(DocumentTooLarge, match=f"deeper than {limit} "):
        check_markdown(text, LIMITS)


def test_ordinary_markdown_is_accepted() -> None:
    """Three levels of a list and a quote are ordinary."""
    check_markdown("# A\n\n- a\n  - b\n    - c\n\n> quoted\n\n" + " " * 90 + "code that is indented\n", LIMITS)


def test_long_text_is_refused() -> None:
    """Plain text has a limit of length alone."""
    check_text("<div>" * 200, LIMITS)
    with pytest.raises(DocumentTooLarge):
        check_text("a" * 1_001, LIMITS)
