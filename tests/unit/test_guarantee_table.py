"""docs/explanation/delivery-guarantees.md says what the tests prove."""

from tests.support import guarantee_table


def test_the_page_is_what_the_tests_say() -> None:
    """Whoever adds or changes a guarantee writes the page anew: python -m tests.support.guarantee_table."""
    page = guarantee_table.table()
    assert guarantee_table.FILE.read_text() == page
    for title in guarantee_table.PARTS.values():
        assert f"## {title}\n\n| | the callback | proven by |\n| --- | --- | --- |\n| " in page
