"""A table that another reader than PyMuPDF's finder has found; taken where the finder has none."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from worker.parser.pdf.fast_block import Block

Box = tuple[float, float, float, float]

# Two rows are as often the labels of a chart or a caption beside its number.
_LEAST_ROWS, _LEAST_COLUMNS = 3, 2
_LEAST_FILLED = 0.6


@dataclass(frozen=True)
class OfferedCell:
    """A cell, by the names that PyMuPDF's finder has for its parts."""

    text: str
    bbox: Box | None
    rowspan: int = 1
    colspan: int = 1
    tag: str = "td"


@dataclass(frozen=True)
class OfferedTable:
    """A table, by the names that PyMuPDF's finder has for its parts."""

    bbox: Box
    placements: list[list[OfferedCell]]
    header_rows: int


def offered_tables(blocks: Iterable[Block]) -> Iterator[OfferedTable]:
    """Give the tables of the fast reader that can be nothing else."""
    for block in blocks:
        cells = [cell for row in block.rows for cell in row]
        columns = max((len(row) for row in block.rows), default=0)
        if len(block.rows) < _LEAST_ROWS or columns < _LEAST_COLUMNS:
            continue
        if sum(bool(cell.text.strip()) for cell in cells) >= _LEAST_FILLED * len(cells):
            yield table_of(block)


def table_of(block: Block) -> OfferedTable:
    """Give a table block under the names of PyMuPDF's finder."""
    rows = [[OfferedCell(cell.text, cell.box) for cell in row] for row in block.rows]
    return OfferedTable(block.box, rows, header_rows=int(block.has_header))
