"""Tables of a Markdown text: found, and written as HTML, which is what the scores compare."""

import html
import re
from itertools import pairwise

_RULE = re.compile(r"^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$")
_BAR = re.compile(r"(?<!\\)\|")
_TABLE = re.compile(r"<table[^>]*?>.*?</table>", re.IGNORECASE | re.DOTALL)


def with_html_tables(text: str) -> str:
    """Write each pipe table as an HTML table; the rest stays."""
    lines = text.split("\n")
    starts = {index for index, (head, rule) in enumerate(pairwise(lines)) if "|" in head and _is_rule(rule)}
    done: list[str] = []
    index = 0
    while index < len(lines):
        if index not in starts:
            done.append(lines[index])
            index += 1
            continue
        end = index + 2
        while end < len(lines) and "|" in lines[end] and lines[end].strip():
            end += 1
        done.append(_html([lines[index], *lines[index + 2 : end]]))
        index = end
    return "\n".join(done)


def without_tables(text: str) -> str:
    """Take out the HTML tables."""
    return _TABLE.sub(" ", text)


def tables(text: str) -> list[str]:
    """Give the HTML tables."""
    return _TABLE.findall(text)


def _is_rule(line: str) -> bool:
    return "|" in line and bool(_RULE.match(line))


def _html(rows: list[str]) -> str:
    head, *body = [_cells(row) for row in rows]
    width = len(head)
    parts = ["<tr>", *(f"<th>{cell}</th>" for cell in head), "</tr>"]
    for row in body:
        parts += ["<tr>", *(f"<td>{cell}</td>" for cell in (row + [""] * width)[: max(width, len(row))]), "</tr>"]
    return "<table>" + "".join(parts) + "</table>"


def _cells(row: str) -> list[str]:
    inner = row.strip().removeprefix("|")
    inner = inner[:-1] if inner.endswith("|") and not inner.endswith(r"\|") else inner
    return [html.escape(cell.strip().replace(r"\|", "|")) for cell in _BAR.split(inner)]
