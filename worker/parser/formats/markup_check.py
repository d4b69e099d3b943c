"""Refuses HTML and Markdown that would hang or exhaust a parser, before it sees them."""

import re

from schemas.errors import DocumentTooLarge
from worker.parser.limit import ParserLimits

# No `<` inside a tag: a run of unclosed `<a<a<a` must not be scanned once for each of them.
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9-]*)[^<>]*?(/?)>")
_OPAQUE = re.compile(r"<!--.*?-->|<(script|style)\b.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"}
# A parser closes these by itself when the next one opens: a list of a thousand unclosed <li> is flat.
_SELF_CLOSING = {
    "p",
    "li",
    "dt",
    "dd",
    "tr",
    "td",
    "th",
    "thead",
    "tbody",
    "tfoot",
    "colgroup",
    "option",
    "optgroup",
    "rt",
    "rp",
    "html",
    "head",
    "body",
}
# What a line stands behind: quotes, and list items that hold quotes.
_QUOTES = re.compile(r"^(?:[ \t]*(?:>|[-*+][ \t]))+", re.MULTILINE)
_ITEM_INDENT = re.compile(r"^[ \t]+(?=(?:[-*+]|\d{1,9}[.)])[ \t])", re.MULTILINE)


_GROUP = re.compile(r"(?<!\\)[{}]|\\begin|\\end")


def check_html(text: str, limits: ParserLimits) -> None:
    """Check the length of the markup and the depth of its elements.

    Raises:
        DocumentTooLarge: beyond one of the two.
    """
    _check_length(text, limits.max_markup_bytes)
    depth = deepest = 0
    for closing, name, empty in _TAG.findall(_OPAQUE.sub("", text)):
        if empty or name.lower() in _VOID or name.lower() in _SELF_CLOSING:
            continue
        depth = max(depth - 1, 0) if closing else depth + 1
        deepest = max(deepest, depth)
    _check_depth(deepest, limits.max_markup_depth)


def check_markdown(text: str, limits: ParserLimits) -> None:
    """Check the length, and the depth of quotes, lists and embedded HTML.

    Raises:
        DocumentTooLarge: beyond one of them.
    """
    check_html(text, limits)
    quotes = max((quote.count(">") for quote in _QUOTES.findall(text)), default=0)
    _check_depth(quotes, limits.max_quote_depth)
    indent = max((len(item.expandtabs(4)) for item in _ITEM_INDENT.findall(text)), default=0)
    # Two columns is the least by which a list goes one level deeper.
    _check_depth(indent // 2, limits.max_markup_depth)


def check_latex(text: str, limits: ParserLimits) -> None:
    """Check the length, and the depth of braces and environments.

    Raises:
        DocumentTooLarge: beyond one of the two.
    """
    _check_length(text, limits.max_markup_bytes)
    depth = deepest = 0
    for opening in _GROUP.findall(text):
        depth = depth + 1 if opening[-1] in "{n" else max(depth - 1, 0)
        deepest = max(deepest, depth)
    _check_depth(deepest, limits.max_markup_depth)


def check_text(text: str, limits: ParserLimits) -> None:
    """Check the length of plain text.

    Raises:
        DocumentTooLarge: it is too long.
    """
    _check_length(text, limits.max_text_bytes)


def _check_length(text: str, limit: int) -> None:
    if len(text) > limit:
        raise DocumentTooLarge(f"the text is longer than {limit} characters: split it")


def _check_depth(depth: int, limit: int) -> None:
    if depth > limit:
        raise DocumentTooLarge(f"the markup is nested deeper than {limit} levels: flatten it")
