"""Our reading order in docling's stage for it, which also finds captions and merges paragraphs."""

from collections.abc import Set as AbstractSet
from itertools import groupby

from docling.models.postprocessing.reading_order_rb import PageElement, ReadingOrderPredictor, SeparatorElement
from docling_core.types.doc import DocItemLabel

from worker.parser.pdf.page_order import Box, reading_order

_EDGES = {DocItemLabel.PAGE_HEADER: -1, DocItemLabel.PAGE_FOOTER: 1}


class PageOrder(ReadingOrderPredictor):
    """Docling's predictor but for the order: its own graph jumps where boxes touch."""

    def __init__(self, ordered_pages: AbstractSet[int]) -> None:
        """``ordered_pages`` come in order already, and may grow until the document is assembled."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._ordered_pages = ordered_pages

    def predict_reading_order(
        self, page_elements: list[PageElement], page_separators: list[SeparatorElement] | None = None
    ) -> list[PageElement]:
        """Sort the elements of all pages: head, body, foot of each."""
        del page_separators
        by_page = groupby(sorted(page_elements, key=self._place), key=self._place)
        return [element for _, part in by_page for element in self._sorted(list(part))]

    def _place(self, element: PageElement) -> tuple[int, int]:
        return element.page_no, 0 if element.page_no in self._ordered_pages else _EDGES.get(element.label, 0)

    def _sorted(self, elements: list[PageElement]) -> list[PageElement]:
        return elements if elements[0].page_no in self._ordered_pages else reading_order(elements, _box)


def _box(element: PageElement) -> Box:
    box = element.to_top_left_origin(element.page_size.height)
    return box.l, box.t, box.r, box.b
