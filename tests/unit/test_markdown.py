"""Markdown escapes what is markup, and nothing else."""

import pytest
from docling_core.types.doc import DocItemLabel, DoclingDocument

from worker.parser.markdown import escaped, markdown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("R&D costs 3 < 4", "R&D costs 3 < 4"),
        ("<script>alert(1)</script>", "&lt;script>alert(1)&lt;/script>"),
        ("&lt; is an entity", "&amp;lt; is an entity"),
        ("snake_case stays", "snake_case stays"),
        ("_emphasis_", r"\_emphasis\_"),
    ],
)
def test_only_markup_is_escaped(text: str, expected: str) -> None:
    """What a page says is what a reader sees."""
    assert escaped(text) == expected


def test_a_formula_that_no_model_read_keeps_its_characters() -> None:
    """A placeholder would lose them."""
    document = DoclingDocument(name="formula")
    document.add_text(label=DocItemLabel.FORMULA, text="", orig="E = mc2")
    assert markdown(document) == "E = mc2"


def test_words_in_a_picture_are_written() -> None:
    """The labels of a chart are text of the document."""
    document = DoclingDocument(name="chart")
    picture = document.add_picture()
    document.add_text(label=DocItemLabel.TEXT, text="October 2020", parent=picture)
    assert "October 2020" in markdown(document)
