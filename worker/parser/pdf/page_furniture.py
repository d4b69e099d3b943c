"""Tells heads and feet that repeat from those that a page alone has, which are text like any other."""

import re
from collections import Counter
from collections.abc import Iterable

from docling.datamodel.base_models import BasePageElement, FigureElement, TextElement
from docling_core.types.doc import DocItemLabel

_FURNITURE = (DocItemLabel.PAGE_HEADER, DocItemLabel.PAGE_FOOTER)
# Labels in a chart that differ by less than this, in points, stand on one line.
_LINE = 6.0
_NUMBERS = re.compile(r"\d+|\b[ivxlc]+\b", re.IGNORECASE)
# What a caption begins with, in the languages that most documents here are in.
_CAPTION = re.compile(
    r"(fig(ure|ura|\.)?|table|tab\.|chart|diagram|graph|exhibit|abb(ildung|\.)|tabelle|tableau|tabla|cuadro|gráfico)"
    r"\s*\d+[\d.:\-\u2013]*\b",
    re.IGNORECASE,
)


def settle_labels(elements: Iterable[BasePageElement]) -> None:
    """Correct what a model that sees one page cannot know, in place.

    A running head is furniture because it runs: one that no other page has is the only place where
    its words stand, and would be lost; so would all of a document that has nothing else. Text that
    is numbered as a figure or table is its caption.
    """
    elements = list(elements)
    for element in elements:
        if isinstance(element, FigureElement):
            element.cluster.children.sort(key=lambda child: (round(child.bbox.t / _LINE), child.bbox.l))
    texts = [element for element in elements if isinstance(element, TextElement)]
    pages_of = Counter(key for key, _ in {(_key(each), each.page_no) for each in texts if each.label in _FURNITURE})
    has_body = any(element.label not in _FURNITURE for element in elements)
    for element in texts:
        if element.label in _FURNITURE and (not has_body or pages_of[_key(element)] == 1):
            element.label = DocItemLabel.TEXT
        elif element.label == DocItemLabel.SECTION_HEADER and _CAPTION.match(element.text or ""):
            element.label = DocItemLabel.CAPTION


def _key(element: TextElement) -> str:
    return _NUMBERS.sub("#", (element.text or "").strip().lower())
