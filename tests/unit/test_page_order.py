"""A page's blocks are read as a person reads them."""

from hypothesis import given
from hypothesis import strategies as st

from worker.parser.pdf.page_order import Box, reading_order

_COLUMNS: dict[str, Box] = {
    "title": (50, 40, 550, 60),
    "left 1": (50, 80, 290, 300),
    "left 2": (50, 310, 290, 700),
    "right 1": (310, 80, 550, 200),
    "right 2": (310, 210, 550, 700),
    "foot": (50, 720, 550, 740),
}

edges = st.integers(0, 500)
boxes = st.builds(lambda x, y, w, h: (x, y, x + w, y + h), edges, edges, st.integers(1, 200), st.integers(1, 200))


def test_columns_are_read_one_after_the_other() -> None:
    """A title above and a line below two columns frame them."""
    shuffled = sorted(_COLUMNS, key=lambda name: name[::-1])
    assert reading_order(shuffled, _COLUMNS.__getitem__) == list(_COLUMNS)


def test_labels_and_their_values_are_read_line_by_line() -> None:
    """A narrow row of labels is no column."""
    places: dict[str, Box] = {
        "1.": (50, 100, 60, 110),
        "first": (80, 100, 500, 110),
        "2.": (50, 130, 60, 140),
        "second": (80, 130, 500, 140),
    }
    assert reading_order(list(places), places.__getitem__) == ["1.", "first", "2.", "second"]


def test_boxes_that_touch_keep_their_order() -> None:
    """Layout models give boxes that overlap by a point."""
    places: dict[str, Box] = {"a": (50, 50, 500, 101), "b": (50, 100, 500, 151), "c": (50, 150, 500, 200)}
    assert reading_order(["c", "a", "b"], places.__getitem__) == ["a", "b", "c"]


@given(st.lists(boxes, max_size=25))
def test_no_block_is_lost_or_doubled(places: list[Box]) -> None:
    """However blocks lie, each is read once."""
    assert sorted(reading_order(places, lambda box: box)) == sorted(places)
