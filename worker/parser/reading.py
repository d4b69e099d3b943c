"""What a reader of one format gives back."""

from dataclasses import dataclass
from typing import Literal

from docling_core.types.doc import DoclingDocument, SectionHeaderItem, TitleItem

from schemas.jobs.documents import PageLane

OcrUse = Literal["none", "pictures", "page"]
_TITLE_LENGTH = 300


@dataclass(frozen=True)
class PageReport:
    """How a page was read, and what it showed that decided so."""

    page: int
    lane: PageLane
    reason: str
    ocr: OcrUse


@dataclass(frozen=True)
class Reading:
    """A document as docling models it, and what the model does not hold."""

    document: DoclingDocument
    title: str
    pages: int = 0
    ocr_pages: tuple[int, ...] = ()
    ocr_engine: str = ""
    page_reports: tuple[PageReport, ...] = ()
    warnings: tuple[str, ...] = ()


def title_of(document: DoclingDocument, stated: str = "") -> str:
    """Give the title that the file states, else its first heading, else nothing."""
    if stated.strip():
        return " ".join(stated.split())[:_TITLE_LENGTH]
    for item in document.texts:
        if isinstance(item, SectionHeaderItem | TitleItem):
            return " ".join(item.text.split())[:_TITLE_LENGTH]
    return ""
