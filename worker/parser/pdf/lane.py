"""Which lane reads a page, and why."""

from collections.abc import Sequence
from dataclasses import dataclass

import pymupdf

from schemas.jobs.documents import PageLane
from worker.parser.pdf.fast_block import Block

# A column has this many points of height at least; two short lines beside each other are no columns.
_COLUMN_HEIGHT = 60.0
# More strokes than rules and underlines need are a drawing.
_DRAWING_STROKES = 40
_RIGHT_TO_LEFT = (("\u0590", "\u08ff"), ("\ufb1d", "\ufdff"), ("\ufe70", "\ufeff"))


@dataclass(frozen=True)
class Choice:
    """The lane of a page and what the page showed."""

    lane: PageLane
    reason: str


def choose(page: pymupdf.Page, blocks: Sequence[Block] | None) -> Choice:
    """Take the fast lane where the page is plain text in one column; what else it shows needs models.

    ``blocks`` is what the fast reader made of the page, None if it could not read it.
    """
    if not blocks:
        return Choice("deep", "the fast reader finds no text")
    shown = _what_needs_models(page, blocks)
    return Choice("deep", shown) if shown else Choice("fast", "text in one column")


def _what_needs_models(page: pymupdf.Page, blocks: Sequence[Block]) -> str:
    if any(block.kind == "table" or block.is_doubtful for block in blocks):
        return "a table"
    if any(low <= char <= high for block in blocks for char in block.text for low, high in _RIGHT_TO_LEFT):
        return "right-to-left text"
    if _has_columns(blocks):
        return "columns"
    return "a drawing" if len(page.get_cdrawings()) > _DRAWING_STROKES else ""


def _has_columns(blocks: Sequence[Block]) -> bool:
    return any(
        one.height >= _COLUMN_HEIGHT and other is not one and _beside(one, other) for one in blocks for other in blocks
    )


def _beside(one: Block, other: Block) -> bool:
    (left, top, right, bottom), (other_left, other_top, other_right, other_bottom) = one.box, other.box
    return (right <= other_left or other_right <= left) and top < other_bottom and other_top < bottom
