"""docs/reference/errors.md tells of every code, and tells the truth."""

from collections import Counter

from tests.support import error_table


def test_the_page_is_what_the_classes_say() -> None:
    """Whoever adds or changes an error writes the page anew: python -m tests.support.error_table."""
    assert error_table.FILE.read_text() == error_table.table()


def test_no_code_means_two_things() -> None:
    """A program that knows a code knows what happened."""
    assert [code for code, count in Counter(error_table.codes()).items() if count > 1] == []


def test_every_error_says_its_remedy() -> None:
    """A row without a remedy leaves its reader alone."""
    rows = [line for line in error_table.table().splitlines() if line.startswith("| `")]
    assert [row for row in rows if row.endswith("|  |")] == []
