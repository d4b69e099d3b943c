"""Documents of kinds that the public corpus hardly has, made here with the Markdown that each should become."""

import random
from collections.abc import Callable
from pathlib import Path

import pymupdf

_VOCABULARY = """
fleet queue server spring promise worker page owner parser neighbour document harbour gate market letter
winter keeper lantern river bridge signal captain ledger station garden window orchard copper engine anchor
kept moved opened carried counted mended answered crossed measured gathered followed painted before after
under beside without quietly early often never slowly gladly small bright narrow patient northern wooden
""".split()  # noqa: SIM905 - a list of words is read as words
_PAGE = pymupdf.Rect(0, 0, 595, 842)
_BODY = pymupdf.Rect(60, 70, 535, 780)
_CSS = "body {font-family: serif; font-size: 10pt} h1 {font-size: 18pt} h2 {font-size: 13pt}"
_CELL = 9
Rows = list[list[str]]


class _Text:
    """Sentences, no two alike: only so does an order that is wrong cost points."""

    def __init__(self) -> None:
        self._random = random.Random(7)  # noqa: S311 - the same documents on every run

    def __call__(self, sentences: int) -> str:
        made = (" ".join(self._random.choices(_VOCABULARY, k=self._random.randint(8, 18))) for _ in range(sentences))
        return " ".join(f"{sentence.capitalize()}." for sentence in made)


_text = _Text()

_FIGURES: Rows = [
    ["Region", "Orders", "Returns", "Revenue"],
    ["North", "1,204", "31", "48,160"],
    ["South", "980", "12", "39,200"],
    ["East", "1,611", "57", "64,440"],
    ["West", "755", "9", "30,200"],
]
_BALANCE: Rows = [
    ["Item", "2024", "2023"],
    ["Cash and equivalents", "1,250", "1,101"],
    ["Receivables", "830", "912"],
    ["Inventories", "412", "398"],
    ["Total current assets", "2,492", "2,411"],
]


def make(folder: Path) -> None:
    """Write ``pdf/NAME.pdf`` and ``truth/NAME.md`` for each kind."""
    (folder / "pdf").mkdir(parents=True, exist_ok=True)
    (folder / "truth").mkdir(exist_ok=True)
    for kind in _KINDS:
        document, truth = kind()
        name = kind.__name__.strip("_").replace("_", "-")
        document.save(str(folder / "pdf" / f"{name}.pdf"), garbage=3, deflate=True)
        (folder / "truth" / f"{name}.md").write_text(truth, encoding="utf-8")


def _two_columns() -> tuple[pymupdf.Document, str]:
    left = f"<h2>1 Introduction</h2><p>{_text(12)}</p><p>{_text(9)}</p>"
    right = f"<h2>2 Method</h2><p>{_text(9)}</p><h2>3 Results</h2><p>{_text(12)}</p>"
    document, page = _new()
    _flow(page, "<h1>Queues that keep their promises</h1>", pymupdf.Rect(60, 60, 535, 100))
    _flow(page, left, pymupdf.Rect(60, 110, 288, 780))
    _flow(page, right, pymupdf.Rect(307, 110, 535, 780))
    return document, _markdown("# Queues that keep their promises", left, right)


def _three_columns() -> tuple[pymupdf.Document, str]:
    columns = [f"<h2>{name}</h2><p>{_text(12)}</p><p>{_text(6)}</p>" for name in ("Harbour", "Market", "Weather")]
    document, page = _new()
    _flow(page, "<h1>The Monday letter</h1>", pymupdf.Rect(40, 40, 555, 80))
    for index, column in enumerate(columns):
        _flow(page, column, pymupdf.Rect(40 + 175 * index, 90, 200 + 175 * index, 780))
    return document, _markdown("# The Monday letter", *columns)


def _ruled_table() -> tuple[pymupdf.Document, str]:
    return _with_table(_FIGURES, ruled=True)


def _borderless_table() -> tuple[pymupdf.Document, str]:
    return _with_table(_BALANCE, ruled=False)


def _picture_of_a_table() -> tuple[pymupdf.Document, str]:
    _, page = _new()
    _table(page, _FIGURES, pymupdf.Rect(60, 100, 535, 220), ruled=True)
    pixmap = page.get_pixmap(dpi=200, clip=pymupdf.Rect(55, 95, 540, 225))
    document, page = _new()
    before, after = f"<h1>Sales</h1><p>{_text(3)}</p>", f"<p>{_text(6)}</p>"
    _flow(page, before, pymupdf.Rect(60, 60, 535, 190))
    page.insert_image(pymupdf.Rect(60, 200, 535, 327), pixmap=pixmap)
    _flow(page, after, pymupdf.Rect(60, 340, 535, 700))
    return document, _markdown(before, _html(_FIGURES), after)


def _running_heads() -> tuple[pymupdf.Document, str]:
    document = pymupdf.open()
    parts = []
    for number, name in enumerate(("Scope", "Duties", "Fees", "Term"), 1):
        page = document.new_page(width=_PAGE.width, height=_PAGE.height)
        page.insert_text((60, 40), "Service agreement, version 7", fontsize=8)
        page.insert_text((290, 815), f"Page {number} of 4", fontsize=8)
        parts.append(f"<h2>{number}. {name}</h2>" + "".join(f"<p>{_text(9)}</p>" for _ in range(3)))
        _flow(page, parts[-1], _BODY)
    return document, _markdown(*parts)


def _nested_lists() -> tuple[pymupdf.Document, str]:
    document, page = _new()
    page.insert_text((60, 80), "Before the gate opens", fontsize=16, fontname="hebo")
    lines = [
        (0, "1.", "Check the server."),
        (1, "\u2022", "Its append-only file is on."),
        (1, "\u2022", "Its memory has a limit."),
        (0, "2.", "Check the workers."),
        (1, "\u2022", "Each has its queues."),
        (2, "-", "Imports have one."),
        (2, "-", "Documents have two."),
        (0, "3.", "Open the gate."),
    ]
    for row, (depth, marker, text) in enumerate(lines):
        page.insert_text((60 + 20 * depth, 120 + 18 * row), marker, fontsize=10)
        page.insert_text((75 + 20 * depth, 120 + 18 * row), text, fontsize=10)
    truth = [f"{'    ' * depth}{marker if marker != chr(0x2022) else '-'} {text}" for depth, marker, text in lines]
    return document, "# Before the gate opens\n\n" + "\n".join(truth) + "\n"


def _form() -> tuple[pymupdf.Document, str]:
    document, page = _new()
    page.insert_text((60, 80), "Application for a berth", fontsize=16, fontname="hebo")
    fields = [("Name", "Ada Moor"), ("Vessel", "Kittiwake"), ("Length", "11.4 m"), ("From", "2 May"), ("To", "9 May")]
    for row, (label, value) in enumerate(fields):
        page.insert_text((60, 130 + 26 * row), f"{label}:", fontsize=10, fontname="hebo")
        page.insert_text((180, 130 + 26 * row), value, fontsize=10)
    return document, "# Application for a berth\n\n" + "\n\n".join(
        f"{label}: {value}" for label, value in fields
    ) + "\n"


def _slide() -> tuple[pymupdf.Document, str]:
    document = pymupdf.open()
    page = document.new_page(width=720, height=405)
    page.draw_rect(page.rect, fill=(0.1, 0.2, 0.35), color=None)
    page.insert_text((50, 80), "Three promises", fontsize=32, fontname="hebo", color=(1, 1, 1))
    points = ["Accepted is kept", "Nobody waits", "One bad job hurts only itself"]
    for row, point in enumerate(points):
        page.insert_text((70, 150 + 50 * row), f"\u2022 {point}", fontsize=22, color=(1, 1, 1))
    return document, "# Three promises\n\n" + "\n".join(f"- {point}" for point in points) + "\n"


def _rotated() -> tuple[pymupdf.Document, str]:
    text = f"<h1>Turned by a quarter</h1><p>{_text(12)}</p>"
    source, page = _new()
    _flow(page, text, _BODY)
    page.set_rotation(90)
    return source, _markdown(text)


def _scanned_letter() -> tuple[pymupdf.Document, str]:
    text = f"<h1>Dear neighbours</h1><p>{_text(6)}</p><p>{_text(9)}</p>"
    _, page = _new()
    _flow(page, text, _BODY)
    document, scan = _new()
    scan.insert_image(_PAGE, pixmap=page.get_pixmap(dpi=150))
    return document, _markdown(text)


_KINDS: list[Callable[[], tuple[pymupdf.Document, str]]] = [
    _two_columns,
    _three_columns,
    _ruled_table,
    _borderless_table,
    _picture_of_a_table,
    _running_heads,
    _nested_lists,
    _form,
    _slide,
    _rotated,
    _scanned_letter,
]


def _new() -> tuple[pymupdf.Document, pymupdf.Page]:
    document = pymupdf.open()
    return document, document.new_page(width=_PAGE.width, height=_PAGE.height)


def _flow(page: pymupdf.Page, text: str, box: pymupdf.Rect) -> None:
    page.insert_htmlbox(box, text, css=_CSS)


def _with_table(rows: Rows, *, ruled: bool) -> tuple[pymupdf.Document, str]:
    document, page = _new()
    before, after = f"<h1>Year in figures</h1><p>{_text(3)}</p>", f"<p>{_text(6)}</p>"
    _flow(page, before, pymupdf.Rect(60, 60, 535, 190))
    _table(page, rows, pymupdf.Rect(60, 200, 535, 200 + 24 * len(rows)), ruled=ruled)
    _flow(page, after, pymupdf.Rect(60, 220 + 24 * len(rows), 535, 700))
    return document, _markdown(before, _html(rows), after)


def _table(page: pymupdf.Page, rows: Rows, box: pymupdf.Rect, *, ruled: bool) -> None:
    high, wide = box.height / len(rows), box.width / len(rows[0])
    for row, cells in enumerate(rows):
        for column, cell in enumerate(cells):
            left, top = box.x0 + wide * column, box.y0 + high * row
            if ruled:
                page.draw_rect(pymupdf.Rect(left, top, left + wide, top + high), width=0.7)
            font = "hebo" if row == 0 else "helv"
            page.insert_text((left + 4, top + high * 0.65), cell, fontsize=_CELL, fontname=font)


def _html(rows: Rows) -> str:
    return (
        "<table>" + "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows) + "</table>"
    )


def _markdown(*parts: str) -> str:
    text = "\n\n".join(parts)
    for tag, mark in (("h1", "# "), ("h2", "## "), ("p", "")):
        text = text.replace(f"<{tag}>", f"\n\n{mark}").replace(f"</{tag}>", "\n\n")
    return "\n".join(line.strip() for line in text.strip().splitlines()) + "\n"
