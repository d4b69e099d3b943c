"""Reads each page of a document in the lane that was asked for, or in the one that fits the page."""

import pymupdf
from docling.datamodel.base_models import AssembledUnit

from schemas.jobs.documents import LaneName
from worker.parser.pdf.backend import MuPdfPageBackend
from worker.parser.pdf.fast_block import Block
from worker.parser.pdf.fast_page import Picture, assembled
from worker.parser.pdf.lane import Choice, choose
from worker.parser.pdf.liteparse_reader import read_blocks
from worker.parser.pdf.offered_table import offered_tables
from worker.parser.pdf.page_weight import is_heavy
from worker.parser.pdf.picture_print import pictures
from worker.parser.reading import OcrUse, PageReport

# Pages that the fast reader is given at once: it opens the file for each batch, and holds all of one.
_BATCH_PAGES = 25
_TOO_HEAVY = Choice("fast", "too long a drawing: its text alone")
_Blocks = tuple[Block, ...]


class PageLanes:
    """The lanes of one document; ``reports`` says page by page which was taken and why."""

    def __init__(self, lane: LaneName, content: bytes, document: pymupdf.Document) -> None:
        """Read nothing yet: pages come in turn."""
        self.reports: list[PageReport] = []
        self.ordered_pages: set[int] = set()
        self._lane = lane
        self._content = content
        self._document = document
        self._batch = range(0)
        self._blocks_of: dict[int, _Blocks] = {}

    def read_fast(self, backend: MuPdfPageBackend, *, ocr: OcrUse) -> AssembledUnit | None:
        """Read a page if its lane is the fast one; None leaves it to the models."""
        # What OCR has read is in no file, so the fast reader cannot see it.
        blocks = None if ocr == "page" else self._blocks(backend)
        choice = self._choice(backend, blocks, ocr=ocr)
        if choice is _TOO_HEAVY:
            blocks = _text_alone(backend.page)
        self.reports.append(PageReport(page=backend.page_no, lane=choice.lane, reason=choice.reason, ocr=ocr))
        if choice.lane == "deep":
            backend.offered_tables += offered_tables(blocks or ())
            return None
        self.ordered_pages.add(backend.page_no)
        return assembled(blocks or (), _pictures(backend), backend.offered_tables, backend.page_no)

    def _choice(self, backend: MuPdfPageBackend, blocks: _Blocks | None, *, ocr: OcrUse) -> Choice:
        if ocr == "page":
            return Choice("deep", "no text of its own: read by ocr")
        if is_heavy(backend.page):
            return _TOO_HEAVY
        match self._lane:
            case "deep":
                return Choice("deep", "asked for")
            case "fast":
                unread = not blocks and bool(backend.page.get_text().strip())
                return Choice("deep", "the fast reader finds no text") if unread else Choice("fast", "asked for")
            case "auto":
                return choose(backend.page, blocks)

    def _blocks(self, backend: MuPdfPageBackend) -> _Blocks | None:
        if backend.page_no not in self._batch:
            self._batch = range(backend.page_no, backend.page_no + _BATCH_PAGES)
            light = [number for number in self._batch if self._is_light(number)]
            self._blocks_of = read_blocks(self._content, light)
        return self._blocks_of.get(backend.page_no)

    def _is_light(self, page_no: int) -> bool:
        if page_no > self._document.page_count:
            return False
        try:
            return not is_heavy(self._document[page_no - 1])
        except (RuntimeError, pymupdf.mupdf.FzErrorBase):
            # A damaged page costs itself, when its turn comes, and not its neighbours.
            return False


def _text_alone(page: pymupdf.Page) -> _Blocks:
    return tuple(
        Block("text", " ".join(text.split()), (left, top, right, bottom))
        for left, top, right, bottom, text, *_ in page.get_text("blocks", flags=pymupdf.TEXTFLAGS_TEXT)
        if text.strip()
    )


def _pictures(backend: MuPdfPageBackend) -> list[Picture]:
    """Give the pictures with the words in them; a picture that is a table is the table alone."""
    tables = [pymupdf.Rect(table.bbox) for table in backend.offered_tables]
    rects = [rect for rect in pictures(backend.page) if not any(table.intersects(rect) for table in tables)]
    return [
        Picture((rect.x0, rect.y0, rect.x1, rect.y1), tuple(word for word in backend.read_words if word.box in rect))
        for rect in rects
    ]
