"""What the fast reader finds on a page."""

from dataclasses import dataclass
from typing import Literal

BlockKind = Literal["heading", "text", "list_item", "code", "table"]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Cell:
    """A cell of a table; boxes are left, top, right, bottom in points from the page's upper left corner."""

    text: str
    box: Box | None


@dataclass(frozen=True)
class Block:
    """A block in reading order: text, or the rows of a table."""

    kind: BlockKind
    text: str
    box: Box
    rows: tuple[tuple[Cell, ...], ...] = ()
    has_header: bool = False
    is_doubtful: bool = False
    """The reader saw a table there and could not take it apart."""

    @property
    def height(self) -> float:
        """The height in points."""
        return self.box[3] - self.box[1]
