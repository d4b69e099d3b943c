"""Documents of the other formats that tests make on the spot, each with the Markdown that it is to become."""

import zipfile
from pathlib import Path

from openpyxl import Workbook
from PIL import Image, ImageDraw, ImageFont
from pptx import Presentation
from pptx.util import Inches

_CONTAINER = (
    '<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="book/content.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
)
_PACKAGE = (
    '<package xmlns="http://www.idpf.org/2007/opf" version="3.0"><metadata/><manifest>'
    '<item id="b" href="b.xhtml" media-type="application/xhtml+xml"/>'
    '<item id="a" href="a.xhtml" media-type="application/xhtml+xml"/>'
    '</manifest><spine><itemref idref="a"/><itemref idref="b"/></spine></package>'
)
_MAIL = b"""From: Ada <ada@example.org>
To: bob@example.org
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=
Date: Mon, 1 Jan 2024 10:00:00 +0000
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=part

--part
Content-Type: %s; charset=%s

%s
--part
Content-Type: application/pdf
Content-Disposition: attachment; filename=list.pdf

...
--part--
"""

_ARTICLE = (
    '<?xml version="1.0"?><!DOCTYPE article PUBLIC "-//NLM//DTD JATS v1.2//EN" "JATS-archivearticle1.dtd" '
    '[<!ENTITY passwd SYSTEM "file:///etc/passwd">]><article><front><article-meta><title-group>'
    "<article-title>Of ships</article-title></title-group></article-meta></front>"
    "<body><sec><title>One</title><p>Text of one. &passwd;</p></sec></body></article>"
)

TEXTS = {
    "ships.csv": (
        "csv",
        'name;tons\n"Ada; the first";007\n"two\nlines";NA\n\n',
        "| name | tons |\n| - | - |\n| Ada; the first | 007 |\n| two lines | NA |\n",
    ),
    "ships.tsv": ("csv", "a\tb\n1,5\t2,5\n", "| a | b |\n| - | - |\n| 1,5 | 2,5 |\n"),
    "records.json": (
        "json",
        '[{"name": "Ada", "tons": 12}, {"name": "Bob", "since": true}]',
        "| name | tons | since |\n| - | - | - |\n| Ada | 12 |  |\n| Bob |  | true |\n",
    ),
    "tree.json": ("json", '{"a": [1]}', '```\n{\n  "a": [\n    1\n  ]\n}\n```\n'),
    "harbour.adoc": (
        "asciidoc",
        "= Harbour\n\nIntro.\n\n== Ships\n\n* one\n* two\n",
        "# Harbour\n\nIntro.\n\n## Ships\n\n- one\n- two\n",
    ),
    "harbour.txt": (
        "latex",
        "\\documentclass{article}\n\\begin{document}\n\\section{Ships}\nAda. \\input{/etc/passwd}\n\\end{document}\n",
        "## Ships\n\nAda.\n",
    ),
    "article.xml": ("jats", _ARTICLE, "# Of ships\n\n## One\n\nText of one. &amp;passwd;\n"),
}


def presentation(folder: Path) -> Path:
    """Two slides that are seen, with a list, speaker notes and a table, and one that is not."""
    deck = Presentation()
    first, second, hidden = (deck.slides.add_slide(deck.slide_layouts[n]) for n in (1, 5, 5))
    first.shapes.title.text = "Harbour report"
    points = first.placeholders[1].text_frame
    points.text = "First point"
    nested = points.add_paragraph()
    nested.text, nested.level = "Nested", 1
    first.notes_slide.notes_text_frame.text = "Say hello."
    second.shapes.title.text = "Ships"
    table = second.shapes.add_table(2, 2, Inches(1), Inches(2), Inches(5), Inches(2)).table
    for place, text in zip([(0, 0), (0, 1), (1, 0), (1, 1)], ["Ship", "Tons", "Ada", "12"], strict=True):
        table.cell(*place).text = text
    hidden.shapes.title.text = "Not shown"
    hidden._element.set("show", "0")
    path = folder / "deck.pptx"
    deck.save(str(path))
    return path


PRESENTATION = (
    "# Harbour report\n\n- First point\n    - Nested\n\nSay hello.\n\n"
    "# Ships\n\n| Ship | Tons |\n| - | - |\n| Ada | 12 |\n"
)


def workbook(folder: Path) -> Path:
    """A sheet with numbers, dates and merged cells, and one that is hidden."""
    book = Workbook()
    sheet = book.active
    for row in [("Berth", "Length", "Since"), ("North", 120.5, "2020-01-02"), ("007", 80, None)]:
        sheet.append(row)
    sheet["A5"] = "Merged"
    sheet.merge_cells("A5:B5")
    hidden = book.create_sheet("Secret")
    hidden["A1"], hidden.sheet_state = "not shown", "hidden"
    path = folder / "berths.xlsx"
    book.save(path)
    return path


WORKBOOK = (
    "| Berth | Length | Since |\n| - | - | - |\n| North | 120.5 | 2020-01-02 |\n| 007 | 80 |  |\n\n"
    "| Merged | Merged |\n| - | - |\n"
)


def book(folder: Path, *, chapter: str = "<h1>First</h1><p>Begin.</p>") -> Path:
    """A book of two chapters, whose order is not that of their names in the list."""
    path = folder / "book.epub"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/epub+zip")
        archive.writestr("META-INF/container.xml", _CONTAINER)
        archive.writestr("book/content.opf", _PACKAGE)
        for name, body in (("a", chapter), ("b", "<h1>Second</h1><p>End.</p>")):
            page = f'<html xmlns="http://www.w3.org/1999/xhtml"><body>{body}</body></html>'
            archive.writestr(f"book/{name}.xhtml", page)
    return path


BOOK = "# First\n\nBegin.\n\n# Second\n\nEnd.\n"


def mail(folder: Path, *, kind: bytes = b"text/html", charset: bytes = b"utf-8") -> Path:
    """A mail with an attachment."""
    text = b"<h1>Hi</h1><p>The <b>Ada</b> is here.</p>" if kind == b"text/html" else b"Hi.\n\nThe Ada is here."
    path = folder / "mail.eml"
    path.write_bytes(_MAIL.replace(b"\n", b"\r\n") % (kind, charset, text))
    return path


_HEAD = (
    "# Gr\u00fc\u00dfe\n\nFrom: Ada &lt;ada@example.org>\n\nTo: bob@example.org\n\n"
    "Date: Mon, 01 Jan 2024 10:00:00 +0000\n\n"
)
MAILS = {
    b"text/html": _HEAD + "# Hi\n\nThe **Ada** is here.\n\n- Attachment: list.pdf\n",
    b"text/plain": _HEAD + "Hi.\n\nThe Ada is here.\n\n- Attachment: list.pdf\n",
}


def webp(folder: Path) -> Path:
    """A scan of two words on a transparent ground."""
    image = Image.new("RGBA", (900, 200), (0, 0, 0, 0))
    ImageDraw.Draw(image).text((20, 60), "Harbour master", fill="black", font=ImageFont.load_default(80))
    path = folder / "scan.webp"
    image.save(path)
    return path
