"""The order in which a person reads the blocks of a page."""

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
Box = tuple[float, float, float, float]

# Boxes of layout models overlap by a point or two where the print does not.
_SLACK = 2.0
# Narrower than this part of its region, a "column" is labels beside their text, read line by line.
_COLUMN_SHARE = 0.15


def reading_order(blocks: Sequence[T], box: Callable[[T], Box]) -> list[T]:
    """Sort blocks by cutting the page along its white space; boxes are left, top, right, bottom.

    A strip of the page that a gutter divides is read column by column, and strips that follow each
    other and share a gutter are one strip: otherwise two columns would be read across.
    """
    groups = _columns(blocks, box)
    if len(groups) == 1:
        groups = _joined(_cut(blocks, box, low=1, high=3), box)
    if len(groups) == 1:
        return sorted(blocks, key=lambda block: (box(block)[1], box(block)[0]))
    return [block for group in groups for block in reading_order(group, box)]


def _joined(strips: list[list[T]], box: Callable[[T], Box]) -> list[list[T]]:
    joined: list[list[T]] = []
    for strip in strips:
        together = [*joined[-1], *strip] if joined else []
        if len(_columns(together, box)) > 1:
            joined[-1] = together
        else:
            joined.append(strip)
    return joined


def _columns(blocks: Sequence[T], box: Callable[[T], Box]) -> list[list[T]]:
    columns = _cut(blocks, box, low=0, high=2)
    if len(columns) < 2:  # noqa: PLR2004 - one column is none
        return columns
    width = max(box(each)[2] for each in blocks) - min(box(each)[0] for each in blocks)
    narrow = any(_width(column, box) < _COLUMN_SHARE * width for column in columns)
    return [list(blocks)] if narrow else columns


def _width(blocks: Sequence[T], box: Callable[[T], Box]) -> float:
    return max(box(each)[2] for each in blocks) - min(box(each)[0] for each in blocks)


def _cut(blocks: Sequence[T], box: Callable[[T], Box], *, low: int, high: int) -> list[list[T]]:
    parts: list[list[T]] = []
    reach = float("-inf")
    for block in sorted(blocks, key=lambda each: box(each)[low]):
        if not parts or box(block)[low] > reach - _SLACK:
            parts.append([])
        parts[-1].append(block)
        reach = max(reach, box(block)[high])
    return parts
