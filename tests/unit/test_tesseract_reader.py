"""Tesseract is asked for the right models, and its table is read; the command here is a stand-in."""

import sys
from pathlib import Path

import pymupdf
import pytest

from worker.parser.ocr.tesseract_reader import TesseractReader
from worker.parser.ocr.word import Word

STAND_IN = """#!{python}
import sys
from pathlib import Path
Path(__file__).with_name("arguments").write_text(" ".join(sys.argv[1:]))
if "--list-langs" in sys.argv:
    print("List of available languages in a folder (2):\\neng\\ndeu")
else:
    assert sys.stdin.buffer.read(4) == b"\\x89PNG"
    head = "level page_num block_num par_num line_num word_num left top width height conf text"
    rows = ["4 1 1 1 1 0 10 20 90 12 -1 ", "5 1 1 1 1 1 10 20 40 12 96 Guten", "5 1 1 1 1 2 60 20 40 12 96 \\"Tag"]
    print("\\n".join(row.replace(" ", "\\t") for row in [head, *rows]))
"""


@pytest.fixture
def command(tmp_path: Path) -> Path:
    """A command that knows English and German and sees two words in everything."""
    path = tmp_path / "tesseract"
    path.write_text(STAND_IN.format(python=sys.executable), encoding="utf-8")
    path.chmod(0o700)
    return path


def test_words_are_read_with_their_boxes(command: Path) -> None:
    """Rows of other levels are skipped, and a quotation mark is a character like any other."""
    pixmap = pymupdf.Pixmap(pymupdf.csRGB, pymupdf.IRect(0, 0, 20, 20))
    reader = TesseractReader(str(command), ("de", "en"))
    assert reader.read(pixmap) == [
        Word("Guten", (10, 20, 50, 32), confidence=0.96),
        Word('"Tag', (60, 20, 100, 32), confidence=0.96),
    ]
    assert "-l deu+eng" in command.with_name("arguments").read_text(encoding="utf-8")
    assert reader.warnings == ()


def test_a_model_that_is_missing_is_named(command: Path) -> None:
    """The owner learns that a page was read in the wrong language."""
    pixmap = pymupdf.Pixmap(pymupdf.csRGB, pymupdf.IRect(0, 0, 20, 20))
    reader = TesseractReader(str(command), ("fr",))
    reader.read(pixmap)
    assert reader.warnings == ("tesseract has no model fra: install it",)
    assert "-l eng" in command.with_name("arguments").read_text(encoding="utf-8")
