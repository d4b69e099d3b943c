"""What a reader of one format gives back."""

from dataclasses import dataclass

from docling_core.types.doc import DoclingDocument, SectionHeaderItem, TitleItem

_TITLE_LENGTH = 300


@dataclass(frozen=True)
class Reading:
    """A document as docling models it, and what the model does not hold."""

    document: DoclingDocument
    title: str
    pages: int = 0
    ocr_pages: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()


def title_of(document: DoclingDocument, stated: str = "") -> str:
    """Give the title that the file states, else its first heading, else nothing."""
    if stated.strip():
        return " ".join(stated.split())[:_TITLE_LENGTH]
    for item in document.texts:
        if isinstance(item, SectionHeaderItem | TitleItem):
            return " ".join(item.text.split())[:_TITLE_LENGTH]
    return ""
