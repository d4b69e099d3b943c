"""Heads and feet are furniture when they run."""

import pytest
from docling.datamodel.base_models import Cluster, TextElement
from docling_core.types.doc import BoundingBox, DocItemLabel

from worker.parser.pdf.page_furniture import settle_labels


def element(label: DocItemLabel, text: str, page: int) -> TextElement:
    """Give an element as docling's assembly does."""
    cluster = Cluster(id=page, label=label, bbox=BoundingBox(l=0, t=0, r=1, b=1))
    return TextElement(label=label, id=page, text=text, page_no=page, cluster=cluster)


def test_a_head_that_runs_is_furniture_and_one_that_does_not_is_text() -> None:
    """Words that stand in one place only are never dropped."""
    feet = [element(DocItemLabel.PAGE_FOOTER, f"Page {page} of 3", page) for page in (1, 2, 3)]
    letterhead = element(DocItemLabel.PAGE_HEADER, "Harbour office, Quay 4b", 1)
    settle_labels([*feet, letterhead, element(DocItemLabel.TEXT, "Dear captain,", 1)])
    assert {foot.label for foot in feet} == {DocItemLabel.PAGE_FOOTER}
    assert letterhead.label == DocItemLabel.TEXT


def test_a_document_of_nothing_but_heads_is_its_heads() -> None:
    """Forms that say the same on each page are not empty."""
    heads = [element(DocItemLabel.PAGE_HEADER, "Ferry ticket, one way", page) for page in (1, 2, 3)]
    settle_labels(heads)
    assert {head.label for head in heads} == {DocItemLabel.TEXT}


@pytest.mark.parametrize("text", ["Figure 3: Arrivals", "Table 12. Fees", "Abb. 4 Der Hafen", "Tabelle 2"])
def test_a_numbered_figure_is_a_caption_and_no_heading(text: str) -> None:
    """Bold captions look like headings to a model."""
    caption = element(DocItemLabel.SECTION_HEADER, text, 1)
    settle_labels([caption])
    assert caption.label == DocItemLabel.CAPTION


@pytest.mark.parametrize("text", ["Table of contents", "Figures", "Charter parties"])
def test_a_heading_stays_one(text: str) -> None:
    """A word alone makes no caption."""
    heading = element(DocItemLabel.SECTION_HEADER, text, 1)
    settle_labels([heading])
    assert heading.label == DocItemLabel.SECTION_HEADER
