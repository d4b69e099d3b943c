"""PyMuPDF as docling's PDF backend: text cells, links and outline of one open document.

One library reads the file for text, layout and tables alike, so a PDF that MuPDF has repaired
is not refused by a second reader, and one parser less meets foreign bytes.
"""

import re
from collections.abc import Iterable, Iterator
from io import BytesIO
from itertools import groupby
from pathlib import Path
from typing import Any

import pymupdf
from docling.backend.pdf_backend import PdfDocumentBackend, PdfPageBackend
from docling.datamodel.backend_options import PdfBackendOptions
from docling.datamodel.document import InputDocument
from docling.utils.pdf_outline import _PdfOutlineItem
from docling_core.types.doc import BoundingBox, CoordOrigin, Size
from docling_core.types.doc.page import (
    BoundingRectangle,
    PdfHyperlink,
    PdfPageBoundaryType,
    PdfPageGeometry,
    SegmentedPdfPage,
    TextCell,
)
from PIL import Image

from worker.parser.ocr.word import Word
from worker.parser.pdf.offered_table import OfferedTable

# Ligatures are taken apart ("ﬁ" -> "fi"): nobody searches for the glyph.
_WORD_FLAGS = pymupdf.TEXTFLAGS_WORDS & ~pymupdf.TEXT_PRESERVE_LIGATURES
# MuPDF joins what stands on one baseline; a gap this many line heights wide is another column.
_COLUMN_GAP = 1.5
_SOFT_HYPHEN_AT_END = re.compile(r"\u00ad\s*$")
_BULLETS = frozenset("\u2022\u00b7\u25aa\u25e6\u2023\u25cf\u25cb\u25a0\u25a1\u2013\u2014-*\u27a2\u2713")
_DESCENT = 0.4
_LINK_SCHEMES = ("http://", "https://", "mailto:")


class MuPdfPageBackend(PdfPageBackend):
    """One page, in points from its upper left corner, as it is displayed."""

    def __init__(self, page: pymupdf.Page, number: int) -> None:
        """Keep the page; ``number`` counts from 1."""
        self.page = page
        self.offered_tables: list[OfferedTable] = []
        self.read_words: list[Word] = []
        self.found_tables: list[Any] | None = None
        self._number = number

    @property
    def page_no(self) -> int:
        """The page's number, from 1."""
        return self._number

    def get_segmented_page(self) -> SegmentedPdfPage:
        """Give the text lines and links of the page."""
        size = self.get_size()
        frame = _box(0, 0, size.width, size.height)
        return SegmentedPdfPage(
            dimension=PdfPageGeometry(
                angle=0.0,
                rect=BoundingRectangle.from_bounding_box(frame),
                boundary_type=PdfPageBoundaryType.CROP_BOX,
                art_bbox=frame,
                bleed_bbox=frame,
                crop_bbox=frame,
                media_bbox=frame,
                trim_bbox=frame,
            ),
            char_cells=[],
            word_cells=[],
            textline_cells=list(self.get_text_cells()),
            hyperlinks=list(self._links()),
            has_lines=True,
        )

    def get_text_cells(self) -> Iterable[TextCell]:
        """Give one cell per text line."""
        text = self.page.get_textpage(flags=_WORD_FLAGS)
        heights = _heights(text.extractDICT()["blocks"])
        words = [_clamped(word, heights.get(word[5:7])) for word in text.extractWORDS()]
        lines = (line for _, group in groupby(words, key=lambda word: word[5:7]) for line in _split(list(group)))
        return [_cell(line, index) for index, line in enumerate(lines)]

    def get_text_in_rect(self, bbox: BoundingBox) -> str:
        """Give the text inside a box."""
        box = bbox.to_top_left_origin(self.get_size().height)
        return str(self.page.get_textbox(pymupdf.Rect(box.l, box.t, box.r, box.b)))

    def get_bitmap_rects(self, scale: float = 1) -> Iterable[BoundingBox]:
        """Give the boxes of the page's images."""
        return [_box(*info["bbox"]).scaled(scale) for info in self.page.get_image_info()]

    def get_page_image(self, scale: float = 1, cropbox: BoundingBox | None = None) -> Image.Image:
        """Render the page, or the part of it in ``cropbox``."""
        clip = None
        if cropbox is not None:
            box = cropbox.to_top_left_origin(self.get_size().height)
            clip = pymupdf.Rect(box.l, box.t, box.r, box.b)
        pixmap = self.page.get_pixmap(matrix=pymupdf.Matrix(scale, scale), clip=clip, alpha=False)
        return Image.frombytes("RGB", (pixmap.width, pixmap.height), pixmap.samples)

    def get_size(self) -> Size:
        """Give the page's size in points."""
        return Size(width=self.page.rect.width, height=self.page.rect.height)

    def is_valid(self) -> bool:
        """Tell that the page can be read: one that cannot has raised before."""
        return True

    def unload(self) -> None:
        """Do nothing: the document owns its pages."""

    def _links(self) -> Iterator[PdfHyperlink]:
        for index, link in enumerate(self.page.get_links()):
            uri = link.get("uri", "")
            # A link is copied into Markdown that somebody will click: no javascript:, no file:.
            if uri.lower().startswith(_LINK_SCHEMES):
                yield PdfHyperlink(index=index, rect=_rectangle(*link["from"]), uri=uri)


class MuPdfDocumentBackend(PdfDocumentBackend):
    """A PDF that MuPDF has open."""

    def __init__(
        self, in_doc: InputDocument, path_or_stream: BytesIO | Path, options: PdfBackendOptions | None = None
    ) -> None:
        """Open the document; a path and bytes in memory serve alike."""
        super().__init__(in_doc, path_or_stream, options)
        if isinstance(path_or_stream, Path):
            self.document = pymupdf.open(path_or_stream, filetype="pdf")
        else:
            self.document = pymupdf.open(stream=path_or_stream.getvalue(), filetype="pdf")

    def load_page(self, page_no: int) -> MuPdfPageBackend:
        """Load a page, counted from 0."""
        return MuPdfPageBackend(self.document[page_no], page_no + 1)

    def page_count(self) -> int:
        """Count the pages."""
        return int(self.document.page_count)

    def is_valid(self) -> bool:
        """Tell whether there is a page to read."""
        return self.page_count() > 0

    def get_document_outline(self) -> list[_PdfOutlineItem]:
        """Give the bookmarks, from which docling takes the levels of headings."""
        return [
            _PdfOutlineItem(title=title, level=level - 1, page_no=page if page > 0 else None)
            for level, title, page, *_ in self.document.get_toc()
        ]

    def unload(self) -> None:
        """Close the document."""
        self.document.close()
        super().unload()  # type: ignore[no-untyped-call]


def _heights(blocks: list[Any]) -> dict[tuple[int, int], tuple[float, float]]:
    """Tell how far up and down the print of each horizontal line can reach, from its base line.

    Some fonts state a box many lines high, and boxes that overlap confuse all that comes after.
    """
    return {
        (block["number"], number): (
            min(span["origin"][1] - span["size"] for span in line["spans"]),
            max(span["origin"][1] + span["size"] * _DESCENT for span in line["spans"]),
        )
        for block in blocks
        for number, line in enumerate(block.get("lines", ()))
        if line["spans"] and line["dir"] == (1.0, 0.0)
    }


def _clamped(word: Any, height: tuple[float, float] | None) -> Any:  # noqa: ANN401 - PyMuPDF's tuples are untyped
    if height is None or not (word[1] < height[1] and height[0] < word[3]):
        return word
    return (word[0], max(word[1], height[0]), word[2], min(word[3], height[1]), *word[4:])


def _split(words: list[Any]) -> Iterator[list[Any]]:
    """Cut a line where a gap shows that two columns share a baseline."""
    line: list[Any] = []
    for word in words:
        apart = line and word[0] - line[-1][2] > _COLUMN_GAP * (word[3] - word[1])
        if apart and not (len(line) == 1 and line[0][4] in _BULLETS):
            yield line
            line = []
        line.append(word)
    yield line


def _cell(words: list[Any], index: int) -> TextCell:
    # A soft hyphen shows only at the end of a line, where it is a hyphen.
    text = _SOFT_HYPHEN_AT_END.sub("-", " ".join(word[4] for word in words)).replace("\u00ad", "")
    corners = [min(word[0] for word in words), min(word[1] for word in words)]
    corners += [max(word[2] for word in words), max(word[3] for word in words)]
    return TextCell(index=index, rect=_rectangle(*corners), text=text, orig=text, from_ocr=False)


def _box(left: float, top: float, right: float, bottom: float) -> BoundingBox:
    return BoundingBox(l=left, t=top, r=right, b=bottom, coord_origin=CoordOrigin.TOPLEFT)


def _rectangle(left: float, top: float, right: float, bottom: float) -> BoundingRectangle:
    return BoundingRectangle.from_bounding_box(_box(left, top, right, bottom))
