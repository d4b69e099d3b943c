"""A document as the blocks that chunks are made of: paragraphs, lists, tables, code, under their headings."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from docling_core.transforms.serializer.base import SerializationResult
from docling_core.types.doc import (
    CodeItem,
    DocItem,
    DoclingDocument,
    FormulaItem,
    InlineGroup,
    ListGroup,
    NodeItem,
    PictureItem,
    SectionHeaderItem,
    TableItem,
    TitleItem,
)

from worker.parser.markdown import SHOWN, serializer

BlockKind = Literal["text", "list", "table", "code", "formula", "picture"]
_KINDS: dict[type[NodeItem], BlockKind] = {
    ListGroup: "list",
    TableItem: "table",
    CodeItem: "code",
    FormulaItem: "formula",
    PictureItem: "picture",
}


@dataclass(frozen=True)
class Place:
    """Where something stands: a page from 1, and a box from its top left corner.

    In the page's own unit: points of a PDF, pixels at 72 dpi of an image, EMU of a slide, cells of a sheet.
    """

    page: int
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Block:
    """A part of a document as Markdown, with the headings above it from the outermost in."""

    kind: BlockKind
    text: str
    headings: tuple[str, ...]
    places: tuple[Place, ...]

    @property
    def page(self) -> int:
        """Where it begins; 0 in a format without pages."""
        return self.places[0].page if self.places else 0


def blocks(document: DoclingDocument) -> Iterator[Block]:
    """Give the blocks in reading order; a heading is no block, but stands above those that follow."""
    write, visited = serializer(document), set[str]()
    above: dict[int, str] = {}
    for item, _ in document.iterate_items(with_groups=True, included_content_layers=SHOWN):
        if isinstance(item, TitleItem | SectionHeaderItem):
            level = item.level if isinstance(item, SectionHeaderItem) else 0
            above = {other: text for other, text in above.items() if other < level} | {level: item.text}
            visited.add(item.self_ref)
        elif isinstance(item, ListGroup | InlineGroup | DocItem) and item.self_ref not in visited:
            written = write.serialize(item=item, visited=visited)
            if written.text.strip():
                kind = _KINDS.get(type(item), "text")
                yield Block(kind, written.text.strip(), tuple(above.values()), tuple(_places(written, document)))


def _places(written: SerializationResult, document: DoclingDocument) -> Iterator[Place]:
    for one in written.spans:
        for origin in one.item.prov:
            if origin.page_no in document.pages:
                box = origin.bbox.to_top_left_origin(document.pages[origin.page_no].size.height)
                yield Place(origin.page_no, *(round(side, 1) for side in (box.l, box.t, box.r, box.b)))
