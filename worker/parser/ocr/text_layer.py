"""Gives pages that have no text an invisible text layer, by OCR, just before they are read."""

from dataclasses import replace
from typing import ClassVar, Protocol

import pymupdf

from schemas.jobs.documents import OcrMode
from worker.parser.ocr.picture_table import pictured_table
from worker.parser.ocr.rapidocr_reader import RapidOcrReader
from worker.parser.ocr.tesseract_reader import TesseractReader
from worker.parser.ocr.word import Word
from worker.parser.pdf.backend import MuPdfPageBackend
from worker.parser.pdf.offered_table import Box, OfferedTable
from worker.parser.pdf.page_weight import is_heavy
from worker.parser.pdf.picture_print import gray_of, printed, rules
from worker.parser.reading import OcrUse
from worker.parser.request import ParseRequest

_DPI = 200
# A poster at 200 dpi would be gigabytes of pixels; OCR gains nothing beyond this.
_MAX_PIXELS = 20_000_000
_POINTS_PER_INCH = 72
_INVISIBLE = 3
_PICTURE_DPI = 150
# Below this, what tesseract reads in a picture is mostly the picture.
_SURE = 0.6


class OcrReader(Protocol):
    """Reads the words in an image."""

    name: ClassVar[str]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the owner should know about how the pages were read."""

    def read(self, pixmap: pymupdf.Pixmap) -> list[Word]:
        """Find the words, with boxes in pixels."""


class OcrPass:
    """OCR of one document; ``pages`` are those that were read, in order."""

    def __init__(self, request: ParseRequest) -> None:
        """Load nothing yet: most documents need no OCR."""
        self.pages: list[int] = []
        self._request = request
        self._reader: OcrReader | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the owner should know about how the pages were read."""
        return self._reader.warnings if self._reader else ()

    @property
    def engine(self) -> str:
        """What read the pages; empty when none was."""
        return self._reader.name if self._reader else ""

    def prepare(self, backend: MuPdfPageBackend) -> OcrUse:
        """Read by OCR what of a page has no text, and tell what that was."""
        if is_heavy(backend.page):
            return "none"
        if _wanted(backend.page, self._request.options.ocr):
            self._read_page(backend)
            return "page"
        if self._request.options.ocr == "auto" and self._request.options.lane != "fast":
            return self._read_pictures(backend)
        return "none"

    def _read_page(self, backend: MuPdfPageBackend) -> None:
        scale = _scale(backend.page)
        pixmap = backend.page.get_pixmap(matrix=pymupdf.Matrix(scale, scale), alpha=False)
        words = self._opened().read(pixmap)
        # Always a page of its own, made of the picture: what text there was is gone, with it the
        # page's rotation, and nothing is drawn twice.
        backend.page = _page_of(pixmap, scale)
        for word in words:
            _write(backend.page, word, pymupdf.Matrix(1 / scale, 1 / scale))
        self.pages.append(backend.page_no)

    def _read_pictures(self, backend: MuPdfPageBackend) -> OcrUse:
        page = backend.page
        # RapidOCR takes ten times as long: too much for words that a page has beside its text.
        if not self._request.tesseract or page.rotation:
            return "none"
        found: OcrUse = "none"
        for rect in printed(backend):
            pixmap = page.get_pixmap(dpi=_PICTURE_DPI, clip=rect, alpha=False)
            place = pymupdf.Matrix(
                _POINTS_PER_INCH / _PICTURE_DPI, 0, 0, _POINTS_PER_INCH / _PICTURE_DPI, rect.x0, rect.y0
            )
            words = self._opened().read(pixmap)
            table = pictured_table(words, list(rules(gray_of(pixmap))))
            if table is not None:
                backend.offered_tables.append(_placed(table, place))
            for word in words:
                if word.confidence >= _SURE:
                    _write(page, word, place)
                    backend.read_words.append(replace(word, box=_moved(word.box, place)))
                    found = "pictures"
        return found

    def _opened(self) -> OcrReader:
        if self._reader is None:
            self._reader = _reader(self._request)
        return self._reader


def _wanted(page: pymupdf.Page, mode: OcrMode) -> bool:
    match mode:
        case "never":
            return False
        case "force":
            return True
        case "auto":
            return not page.get_text().strip() and bool(page.get_image_info() or page.get_cdrawings())


def _reader(request: ParseRequest) -> OcrReader:
    if request.tesseract:
        return TesseractReader(request.tesseract, request.options.languages)
    return RapidOcrReader(request.options.languages)


def _scale(page: pymupdf.Page) -> float:
    area = max(page.rect.width * page.rect.height, 1.0)
    return float(min(_DPI / _POINTS_PER_INCH, (_MAX_PIXELS / area) ** 0.5))


def _page_of(pixmap: pymupdf.Pixmap, scale: float) -> pymupdf.Page:
    document = pymupdf.open()
    page = document.new_page(width=pixmap.width / scale, height=pixmap.height / scale)
    page.insert_image(page.rect, pixmap=pixmap)
    return page


def _write(page: pymupdf.Page, word: Word, place: pymupdf.Matrix) -> None:
    left, top, right, bottom = pymupdf.Rect(word.box) * place
    font = pymupdf.Font("helv" if word.text.isascii() else "cjk")
    size = max(bottom - top, 1.0) * 0.8
    width = font.text_length(word.text, size)
    if width <= 0 or right <= left:
        return
    # The base line lies a fifth of the height above the lower edge; the width is stretched to fit.
    origin = pymupdf.Point(left, bottom - (bottom - top) * 0.2)
    writer = pymupdf.TextWriter(page.rect)
    writer.append(origin, word.text, font=font, fontsize=size)
    stretch = pymupdf.Matrix((right - left) / width, 1)
    writer.write_text(page, render_mode=_INVISIBLE, morph=(origin, stretch))


def _placed(table: OfferedTable, place: pymupdf.Matrix) -> OfferedTable:
    rows = [[replace(cell, bbox=_moved(cell.bbox or table.bbox, place)) for cell in row] for row in table.placements]
    return replace(table, bbox=_moved(table.bbox, place), placements=rows)


def _moved(box: Box, place: pymupdf.Matrix) -> Box:
    left, top, right, bottom = pymupdf.Rect(box) * place
    return left, top, right, bottom
