"""Which lane a page takes, by what it shows."""

import pymupdf
import pytest

from worker.parser.pdf.fast_block import Block, Cell
from worker.parser.pdf.lane import choose
from worker.parser.pdf.offered_table import offered_tables
from worker.parser.pdf.page_weight import is_heavy

_TEXT = Block("text", "A paragraph of a letter.", (50, 50, 500, 150))
_ROWS = tuple((Cell(f"{row}", None), Cell("x", None)) for row in range(3))


@pytest.fixture
def page() -> pymupdf.Page:
    """An empty page; its document lives as long as it does."""
    return pymupdf.open().new_page()


@pytest.mark.parametrize(
    ("blocks", "reason"),
    [
        ((), "the fast reader finds no text"),
        (None, "the fast reader finds no text"),
        ((_TEXT, Block("table", "", (50, 200, 500, 300), _ROWS)), "a table"),
        ((_TEXT, Block("code", "a  b", (50, 200, 500, 300), is_doubtful=True)), "a table"),
        ((_TEXT, Block("text", "שלום", (50, 200, 500, 300))), "right-to-left text"),
        ((Block("text", "left", (50, 50, 250, 400)), Block("text", "right", (300, 50, 500, 400))), "columns"),
    ],
)
def test_what_needs_models_is_named(page: pymupdf.Page, blocks: tuple[Block, ...] | None, reason: str) -> None:
    """The owner learns why a page was slow."""
    choice = choose(page, blocks)
    assert (choice.lane, choice.reason) == ("deep", reason)


def test_plain_text_is_fast(page: pymupdf.Page) -> None:
    """Two short lines beside each other are no columns."""
    beside = Block("text", "Berlin, in May", (400, 20, 500, 40))
    date = Block("text", "Our sign: 7", (50, 20, 200, 40))
    assert choose(page, (date, beside, _TEXT)).lane == "fast"


def test_a_drawing_is_deep_until_it_is_heavy(page: pymupdf.Page) -> None:
    """Charts need models; a million strokes would only keep them busy until they are killed."""
    for step in range(50):
        page.draw_line((0, 10 * step), (100, 7 * step))
    assert choose(page, (_TEXT,)).reason == "a drawing"
    assert not is_heavy(page)
    page.parent.update_stream(page.get_contents()[0], b"0 0 m 9 9 l S\n" * 400_000)
    assert is_heavy(page)


def test_only_what_is_surely_a_table_is_offered() -> None:
    """Two rows may be a chart's legend, and a grid of gaps is a chart."""
    gaps = ((Cell("", None), Cell("", None)), *_ROWS[:2])
    offered = [Block("table", "", (0, 0, 9, 9), rows) for rows in (_ROWS, _ROWS[:2], gaps[:1] * 3)]
    assert [len(table.placements) for table in offered_tables(offered)] == [3]
