"""How much a document may cost before it is refused or its parser is killed."""

from dataclasses import dataclass

_MIB = 1024 * 1024


@dataclass(frozen=True)
class ParserLimits:
    """The limits of a parser and of what it accepts.

    The figures on text, markup and paragraphs keep most documents within the time limit: on one core
    docling takes 6 s for 10 MB of plain text, 63 s and 1.2 GB for 4 MB of HTML in 60,000 paragraphs,
    41 s for 0.9 MB of Markdown in 20,000 sections.
    """

    processes: int = 2
    timeout_s: float = 600.0
    memory_bytes: int = 3 * 1024 * _MIB
    """Of address space, per child: an idle child maps about 0.7 GiB of it."""
    max_tasks: int = 100
    """Documents per child: a slow leak in a parser ends with its child."""
    max_file_bytes: int = 200 * _MIB
    max_output_bytes: int = 500 * _MIB
    """Of any one file that a child writes."""
    max_text_bytes: int = 10 * _MIB
    max_markup_bytes: int = 4 * _MIB
    max_docling_bytes: int = 50 * _MIB
    """Of a converted document: its boxes outweigh its words."""
    max_markup_depth: int = 100
    max_quote_depth: int = 12
    """Of Markdown: each level doubles docling's time, 30 of them take half a minute."""
    max_zip_entries: int = 5_000
    max_zip_ratio: int = 200
    max_unpacked_bytes: int = 400 * _MIB
    max_paragraphs: int = 30_000
    max_slides: int = 2_000
    max_cells: int = 200_000
    """Of a workbook, a CSV or a table in JSON: 100,000 take 10 s and 730 MB."""
    max_used_range: int = 5_000_000
    """Of a workbook's sheets: docling looks at each cell between the first and the last, 300,000 a second."""
    max_pixels: int = 60_000_000
    """Of an image: A3 at 600 dpi."""
