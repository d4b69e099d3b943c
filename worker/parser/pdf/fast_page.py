"""The blocks of the fast lane as docling's own, so that both lanes make one document."""

from collections.abc import Iterable
from dataclasses import dataclass

from docling.datamodel.base_models import AssembledUnit, Cluster, FigureElement, PageElement, Table, TextElement
from docling_core.types.doc import BoundingBox, CoordOrigin, DocItemLabel, TableCell
from docling_core.types.doc.page import BoundingRectangle, TextCell

from worker.parser.ocr.word import Word
from worker.parser.pdf.fast_block import Block, BlockKind, Box
from worker.parser.pdf.offered_table import OfferedTable, table_of

_LABELS: dict[BlockKind, DocItemLabel] = {
    "heading": DocItemLabel.SECTION_HEADER,
    "text": DocItemLabel.TEXT,
    "list_item": DocItemLabel.LIST_ITEM,
    "code": DocItemLabel.CODE,
    "table": DocItemLabel.TABLE,
}


@dataclass(frozen=True)
class Picture:
    """A picture on a page, and what OCR has read in it."""

    box: Box
    words: tuple[Word, ...] = ()


_Part = Block | Picture | OfferedTable


def assembled(
    blocks: Iterable[Block], pictures: Iterable[Picture], tables: Iterable[OfferedTable], page_no: int
) -> AssembledUnit:
    """Give a page's blocks in the order in which they are read, its pictures and their tables among them."""
    parts: list[_Part] = list(blocks)
    added: list[_Part] = [*pictures, *tables]
    for part in added:
        below = (index for index, other in enumerate(parts) if _top(other) > _top(part))
        parts.insert(next(below, len(parts)), part)
    elements = [_element(part, number, page_no) for number, part in enumerate(parts)]
    return AssembledUnit(elements=elements, headers=[], body=elements)


def _top(part: _Part) -> float:
    return part.bbox[1] if isinstance(part, OfferedTable) else part.box[1]


def _element(part: _Part, number: int, page_no: int) -> PageElement:
    match part:
        case Picture():
            return _figure(part, number, page_no)
        case OfferedTable():
            return _table(part, number, page_no)
        case Block(kind="table"):
            return _table(table_of(part), number, page_no)
        case Block():
            return _text(part, number, page_no)


def _figure(picture: Picture, number: int, page_no: int) -> PageElement:
    cluster = Cluster(id=number, label=DocItemLabel.PICTURE, bbox=_bounds(picture.box))
    cluster.children = [
        Cluster(id=number, label=DocItemLabel.TEXT, bbox=_bounds(word.box), cells=[_text_cell(word)])
        for word in picture.words
    ]
    return FigureElement(label=cluster.label, id=number, page_no=page_no, cluster=cluster)


def _text_cell(word: Word) -> TextCell:
    rect = BoundingRectangle.from_bounding_box(_bounds(word.box))
    return TextCell(rect=rect, text=word.text, orig=word.text, from_ocr=True)


def _text(block: Block, number: int, page_no: int) -> PageElement:
    cluster = Cluster(id=number, label=_LABELS[block.kind], bbox=_bounds(block.box))
    return TextElement(label=cluster.label, id=number, text=block.text, page_no=page_no, cluster=cluster)


def _table(table: OfferedTable, number: int, page_no: int) -> PageElement:
    cluster = Cluster(id=number, label=DocItemLabel.TABLE, bbox=_bounds(table.bbox))
    return Table(
        otsl_seq=[],
        num_rows=len(table.placements),
        num_cols=max((len(row) for row in table.placements), default=0),
        table_cells=[
            TableCell(
                bbox=_bounds(cell.bbox) if cell.bbox else None,
                text=cell.text,
                start_row_offset_idx=row,
                end_row_offset_idx=row + 1,
                start_col_offset_idx=column,
                end_col_offset_idx=column + 1,
                column_header=row < table.header_rows,
            )
            for row, cells in enumerate(table.placements)
            for column, cell in enumerate(cells)
        ],
        id=number,
        page_no=page_no,
        cluster=cluster,
        label=cluster.label,
    )


def _bounds(box: Box) -> BoundingBox:
    left, top, right, bottom = box
    return BoundingBox(l=left, t=top, r=right, b=bottom, coord_origin=CoordOrigin.TOPLEFT)
