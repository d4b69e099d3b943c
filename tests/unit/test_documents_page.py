"""docs/reference/documents.md names every format that is read, and the limits as they are."""

import re
from pathlib import Path

from worker.parser.formats.format import Format
from worker.parser.limit import ParserLimits

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "documents.md").read_text()


def test_every_format_has_a_row() -> None:
    """And none that is not read has one."""
    first_columns = re.findall(r"^\| (`.*?`) \|", PAGE.partition("## Chunks")[0], re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(first_columns))) == set(Format)


def test_the_limits_are_those_of_the_code() -> None:
    """The figures that a reader plans by."""
    limits = ParserLimits()
    told = {int(figure.replace(",", "")) for figure in re.findall(r"\d[\d,]*", PAGE.partition("## Limits")[2])}
    assert told >= {
        limits.max_markup_depth,
        limits.max_paragraphs,
        limits.max_slides,
        limits.max_cells,
        limits.max_used_range,
        limits.max_pixels,
        limits.max_zip_entries,
        limits.max_zip_ratio,
    }
    sizes = (limits.max_file_bytes, limits.max_text_bytes, limits.max_markup_bytes, limits.max_unpacked_bytes)
    assert told >= {size_bytes // 1024**2 for size_bytes in sizes}
