"""The scores of one document, as opendataloader-bench defines them.

NID: rapidfuzz's ratio of the two texts. TEDS: arXiv:1911.10683. MHS: the same measure on headings.
A score is None where the truth has nothing to compare.
"""

import re
from dataclasses import asdict, dataclass
from statistics import fmean

from lxml import html
from rapidfuzz import fuzz

from bench.documents_score.table_text import tables, with_html_tables, without_tables
from bench.documents_score.tree import Node, similarity

_HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*\s*$")
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class Score:
    """The scores of one document."""

    nid: float | None
    nid_s: float | None
    teds: float | None
    teds_s: float | None
    mhs: float | None
    mhs_s: float | None

    @property
    def overall(self) -> float | None:
        """The mean of those of NID, TEDS and MHS that apply."""
        given = [value for value in (self.nid, self.teds, self.mhs) if value is not None]
        return fmean(given) if given else None


def score(truth: str, output: str) -> Score:
    """Compare an output with the truth."""
    truth_html, output_html = with_html_tables(truth), with_html_tables(output)
    return Score(
        *_reading_order(truth_html, output_html), *_tables(truth_html, output_html), *_headings(truth_html, output_html)
    )


def figures(scored: Score) -> dict[str, float | None]:
    """Give the scores by name."""
    return {"overall": scored.overall, **asdict(scored)}


def _reading_order(truth: str, output: str) -> tuple[float | None, float | None]:
    if not truth.strip():
        return None, None
    flat = fuzz.ratio(_folded(truth), _folded(output)) / 100
    bare = fuzz.ratio(_folded(without_tables(truth)), _folded(without_tables(output))) / 100
    return flat, bare


def _folded(text: str) -> str:
    return _SPACE.sub(" ", text).strip()


def _tables(truth: str, output: str) -> tuple[float | None, float | None]:
    wanted = tables(truth)
    if not wanted:
        return None, None
    found = tables(output)
    if not found:
        return 0.0, 0.0
    one, other = _table_tree(wanted), _table_tree(found)
    worded = similarity(one, other, texts=True, root_counts=False)
    return worded, similarity(one, other, texts=False, root_counts=False)


def _table_tree(found: list[str]) -> Node:
    return Node("body", children=[_node(html.fragment_fromstring(table)) for table in found])


def _node(element: html.HtmlElement) -> Node:
    if element.tag in ("td", "th"):
        spans = (element.get("colspan", "1"), element.get("rowspan", "1"))
        return Node(f"td {spans}", _folded(_BREAK.sub(" ", " ".join(element.itertext()))))
    return Node(str(element.tag), children=[child for part in element for child in _parts(part)])


def _parts(element: html.HtmlElement) -> list[Node]:
    if element.tag in ("thead", "tbody", "tfoot"):
        return [_node(child) for child in element]
    return [_node(element)] if isinstance(element.tag, str) else []


def _headings(truth: str, output: str) -> tuple[float | None, float | None]:
    one, other = _heading_tree(truth), _heading_tree(output)
    if not any(node.kind == "heading" for node in one.children):
        return None, None
    if not any(node.kind == "heading" for node in other.children):
        return 0.0, 0.0
    return similarity(one, other, texts=True), similarity(one, other, texts=False)


def _heading_tree(text: str) -> Node:
    root = Node("document")
    content: list[str] = []

    def close() -> None:
        joined = _folded(" ".join(content))
        if joined:
            parent = root.children[-1] if root.children else root
            parent.children.append(Node("content", joined))
        content.clear()

    for line in text.split("\n"):
        heading = _HEADING.match(line)
        if heading is None:
            content.append(line)
            continue
        close()
        root.children.append(Node("heading", _folded(heading[1])))
    close()
    return root
