"""Makes the sample documents that the demo ships: ``python -m tests.support.make_samples``.

Nothing in them is anybody else's; the same run gives documents with the same text.
"""

import random
from collections.abc import Callable
from pathlib import Path

import docx
import pymupdf

SAMPLES = Path(__file__).parents[2] / "corral" / "samples"
TABLE = (
    ("Quarter", "Jobs", "Retries", "Dead letters"),
    ("Q1", "120,400", "1,310", "12"),
    ("Q2", "131,950", "1,204", "9"),
    ("Q3", "142,080", "990", "7"),
    ("Q4", "160,775", "871", "4"),
)
SCAN = (
    "Minutes of the herd committee",
    "The committee met on the first of March.",
    "All members were present.",
    "The fence in the north was mended for 480 euros.",
    "The next meeting is on the second of June.",
)
_CHAPTERS = (
    (
        "1 Summary",
        (
            "This report shows how a fleet of workers has served its queues over four quarters. The number of jobs "
            "grown by a third, while the number of retries has fallen. No accepted job was lost."
        ),
        (
            "A job is accepted when the answer 202 has been sent. From then on it ends in exactly one final state, "
            "whatever happens to the worker that holds it."
        ),
    ),
    (
        "2 Method",
        (
            "Counts are taken from the ledger at the end of each quarter. A retry is counted once for each "
            "attempt after the first. A dead letter is a job that no attempt could complete."
        ),
        (
            "Documents were converted in child processes with limits on memory and time. A document that broke its "
            "parser ended one attempt and nothing else."
        ),
    ),
)
_OUTLOOK = (
    "4 Outlook",
    (
        "The fleet will be moved to machines with more cores in spring. The queues stay where they are. Callbacks "
        "will be delivered from a lane of their own, so that a slow receiver delays nobody else."
    ),
    "Readers who miss a figure will find it in the ledger, which keeps every attempt of every job.",
)
_LEFT, _TOP, _RIGHT = 72, 90, 523


def make_report() -> bytes:
    """A text PDF of three pages with headings and a ruled table."""
    document = pymupdf.open()
    page = document.new_page()
    _text(page, _TOP, "Annual report of the fleet", size=22, bold=True)
    top: float = _TOP + 50
    for chapter in _CHAPTERS:
        top = _chapter(page, top, chapter)
    page = document.new_page()
    top = _text(page, _TOP, "3 Results", size=15, bold=True)
    top = _text(page, top, "Table 1 gives the counts of the four quarters.", size=11)
    _table(page, top + 10)
    page = document.new_page()
    _chapter(page, _TOP, _OUTLOOK)
    for number in range(document.page_count):
        document[number].insert_text((290, 800), str(number + 1), fontsize=9)
    document.set_metadata({"title": "Annual report of the fleet", "author": "Corral"})
    return bytes(document.tobytes(garbage=4, deflate=True, no_new_id=True))


def make_scan() -> bytes:
    """A PDF of one page that is a picture of text."""
    drawn = pymupdf.open().new_page(width=420, height=300)
    for index, line in enumerate(SCAN):
        drawn.insert_text((40, 60 + 34 * index), line, fontsize=18 if index == 0 else 14)
    picture = drawn.get_pixmap(dpi=150, colorspace=pymupdf.csGRAY)
    document = pymupdf.open()
    page = document.new_page(width=420, height=300)
    page.insert_image(page.rect, stream=picture.tobytes("jpeg", jpg_quality=70))
    return bytes(document.tobytes(garbage=4, deflate=True, no_new_id=True))


def make_letter(path: Path) -> None:
    """A Word document with headings, a list and a table."""
    document = docx.Document()
    document.core_properties.title = "Letter to the neighbours"
    document.add_heading("Letter to the neighbours", level=1)
    document.add_paragraph("Dear neighbours, the gate of the corral will be painted next week.")
    document.add_heading("What we ask of you", level=2)
    for wish in ("Keep the gate shut.", "Lead your horses by the southern path."):
        document.add_paragraph(wish, style="List Bullet")
    table = document.add_table(rows=1, cols=2)
    table.rows[0].cells[0].text, table.rows[0].cells[1].text = "Day", "Work"
    for day, work in (("Monday", "Sanding"), ("Tuesday", "Painting")):
        cells = table.add_row().cells
        cells[0].text, cells[1].text = day, work
    document.save(str(path))


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Opening hours</title>
<style>body { font-family: sans-serif }</style></head>
<body><h1>Opening hours</h1><p>The corral is open <b>every day</b> in summer.</p>
<h2>Prices</h2><table><tr><th>Who</th><th>Price</th></tr><tr><td>Adults</td><td>8 euros</td></tr>
<tr><td>Children</td><td>free</td></tr></table>
<ul><li>Dogs stay on the lead.</li><li>Feeding is not allowed.</li></ul></body></html>
"""
NOTES = """# Notes on the herd

Counted on **Friday**.

## Numbers

| Animal | Count |
|--------|-------|
| Horses | 14    |
| Ponies | 5     |

- The grey mare has a new shoe.
- The foal is well.
"""
PLAIN = """Log of the night watch

Ten o'clock: all is quiet.

Two o'clock: a fox at the fence, driven off.
"""


def make_broken() -> bytes:
    """Start as a PDF and go on as noise: there is no object in it that a repair could find."""
    return b"%PDF-1.7\n" + random.Random(7).randbytes(4_000)  # noqa: S311 - not for secrets


def _chapter(page: pymupdf.Page, top: float, chapter: tuple[str, ...]) -> float:
    heading, *paragraphs = chapter
    top = _text(page, top, heading, size=15, bold=True)
    for paragraph in paragraphs:
        top = _text(page, top, paragraph, size=11)
    return top + 12


def _text(page: pymupdf.Page, top: float, text: str, *, size: float, bold: bool = False) -> float:
    """Set a block and give the height at which the next one begins."""
    box = pymupdf.Rect(_LEFT, top, _RIGHT, top + 300)
    left = page.insert_textbox(box, text, fontsize=size, fontname="hebo" if bold else "helv", lineheight=1.35)
    return top + 300 - float(left) + 8


def _table(page: pymupdf.Page, top: float) -> None:
    width, height = (_RIGHT - _LEFT) / len(TABLE[0]), 24
    for row, cells in enumerate(TABLE):
        for column, cell in enumerate(cells):
            box = pymupdf.Rect(0, 0, width, height) + (_LEFT + column * width, top + row * height) * 2
            page.draw_rect(box, width=0.7)
            font = "hebo" if row == 0 else "helv"
            page.insert_text((box.x0 + 6, box.y1 - 8), cell, fontsize=11, fontname=font)


def main() -> None:
    """Write all samples."""
    SAMPLES.mkdir(parents=True, exist_ok=True)
    made: dict[str, Callable[[], bytes]] = {
        "report.pdf": make_report,
        "scan.pdf": make_scan,
        "broken.pdf": make_broken,
        "page.html": PAGE.encode,
        "notes.md": NOTES.encode,
        "plain.txt": PLAIN.encode,
    }
    for name, make in made.items():
        (SAMPLES / name).write_bytes(make())
    make_letter(SAMPLES / "letter.docx")


if __name__ == "__main__":
    main()
