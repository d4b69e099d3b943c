"""What OCR reads in a picture of a table becomes a table again."""

from worker.parser.ocr.picture_table import pictured_table
from worker.parser.ocr.word import Word

_DOWN = [(x, 0.0, x, 90.0) for x in (0.0, 100.0, 200.0)]
_ACROSS = [(0.0, y, 200.0, y) for y in (0.0, 30.0, 60.0, 90.0)]


def word(text: str, left: float, top: float) -> Word:
    """Give a word of ten pixels' height."""
    return Word(text, (left, top, left + 40, top + 10))


_WORDS = [
    word("Tube", 10, 10),
    word("Dye", 110, 10),
    word("S1", 10, 40),
    word("2", 110, 40),
    word("S2", 10, 70),
    word("3", 110, 70),
]


def test_words_go_into_the_cells_that_rules_make() -> None:
    """Columns and rows are where the lines are."""
    table = pictured_table(_WORDS, [*_DOWN, *_ACROSS])
    assert table is not None
    assert [[cell.text for cell in row] for row in table.placements] == [["Tube", "Dye"], ["S1", "2"], ["S2", "3"]]
    assert table.bbox == (0, 0, 200, 90)


def test_rows_without_rules_are_lines_of_words() -> None:
    """Many tables rule their columns alone."""
    table = pictured_table(_WORDS, _DOWN)
    assert table is not None
    assert len(table.placements) == 3


def test_the_grid_of_a_chart_is_no_table() -> None:
    """Lines cross in a chart too, but its fields are empty."""
    assert pictured_table([word("100%", 10, 10)], [*_DOWN, *_ACROSS]) is None


def test_lines_read_as_letters_are_left_out() -> None:
    """OCR takes a rule for a bar."""
    table = pictured_table([*_WORDS, word("|", 98, 40), word("[2", 150, 70)], [*_DOWN, *_ACROSS])
    assert table is not None
    assert [cell.text for cell in table.placements[2]] == ["S2", "3 2"]


def test_words_without_lines_are_no_table() -> None:
    """A picture of text is text."""
    assert pictured_table(_WORDS, []) is None
