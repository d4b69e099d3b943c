"""How a PDF's pages are read: fast by geometry, deep by models, or as each needs."""

import json
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import get_args

import pymupdf
import pytest
import pytest_asyncio

from schemas.jobs.documents import ConvertOptions, LaneName
from tests.support.document import huge_page_pdf, parse, sample
from worker.adapters.pebble_document_parser import ParserLimits, PebbleDocumentParser

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def real() -> AsyncIterator[PebbleDocumentParser]:
    """The adapter; one for the module, because its libraries take two seconds to load."""
    async with PebbleDocumentParser(ParserLimits(processes=1)) as parser:
        yield parser


def table_in_a_picture(folder: Path) -> Path:
    """Make a page of text with a table that is a bitmap."""
    with pymupdf.open() as source, pymupdf.open() as document:
        drawn = source.new_page(width=400, height=120)
        for row, cells in enumerate([("Region", "Orders"), ("North", "1204"), ("South", "980")]):
            for column, cell in enumerate(cells):
                left, top = 10 + 180 * column, 10 + 30 * row
                drawn.draw_rect(pymupdf.Rect(left, top, left + 180, top + 30), width=0.7)
                drawn.insert_text((left + 6, top + 20), cell, fontsize=12)
        page = document.new_page()
        page.insert_text((60, 80), "Sales of the year, as a picture.")
        page.insert_image(pymupdf.Rect(60, 120, 460, 240), pixmap=drawn.get_pixmap(dpi=200))
        path = folder / "picture.pdf"
        document.save(str(path))
    return path


async def test_a_table_in_a_picture_is_a_table(real: PebbleDocumentParser, tmp_path: Path) -> None:
    """Its words are in no text layer; OCR reads them into the cells that the picture shows."""
    if shutil.which("tesseract") is None:
        pytest.skip("rapidocr is too slow to read pictures beside text")
    parsed = await parse(real, table_in_a_picture(tmp_path))
    markdown = parsed.outputs["markdown"].read_text()
    assert "| Region | Orders |" in markdown
    assert "| South | 980 |" in markdown
    assert markdown.count("South") == 1


async def test_a_page_of_any_size_is_read_by_its_text(real: PebbleDocumentParser, tmp_path: Path) -> None:
    """What the models would need a gigabyte for, geometry reads at once."""
    parsed = await parse(real, huge_page_pdf(tmp_path))
    assert (parsed.lanes, "Far away" in parsed.outputs["markdown"].read_text()) == ({"fast": 1}, True)


async def test_every_page_says_which_lane_read_it_and_why(real: PebbleDocumentParser, tmp_path: Path) -> None:
    """The counts are in the result, the reasons in a file of their own."""
    options = ConvertOptions(outputs=frozenset({"pages"}))
    parsed = await parse(real, sample("report.pdf", tmp_path), options=options)
    pages = json.loads(parsed.outputs["pages"].read_text())["pages"]
    assert [page["page"] for page in pages] == [1, 2, 3]
    assert all(page["reason"] for page in pages)
    assert Counter(page["lane"] for page in pages) == parsed.lanes


@pytest.mark.parametrize("lane", get_args(LaneName))
async def test_each_lane_reads_the_text(real: PebbleDocumentParser, lane: LaneName, tmp_path: Path) -> None:
    """Lanes differ in structure, never in whether the words are there."""
    parsed = await parse(real, sample("report.pdf", tmp_path), options=ConvertOptions(lane=lane))
    assert sum(parsed.lanes.values()) == 3
    assert "Dead letters" in parsed.outputs["markdown"].read_text()
    assert "## 4 Outlook" in parsed.outputs["markdown"].read_text()


async def test_deep_is_deep_on_every_page(real: PebbleDocumentParser, tmp_path: Path) -> None:
    """Who asks for models gets them."""
    parsed = await parse(real, sample("report.pdf", tmp_path), options=ConvertOptions(lane="deep"))
    assert parsed.lanes == {"deep": 3}


async def test_fast_is_fast_on_every_page(real: PebbleDocumentParser, tmp_path: Path) -> None:
    """The fast lane loads no model for a page with text."""
    parsed = await parse(real, sample("report.pdf", tmp_path), options=ConvertOptions(lane="fast"))
    assert parsed.lanes == {"fast": 3}


async def test_the_result_names_what_read_a_scan(real: PebbleDocumentParser, tmp_path: Path) -> None:
    """Whoever judges a text wants to know who read it."""
    scan = await parse(real, sample("scan.pdf", tmp_path))
    assert scan.ocr_engine == ("tesseract" if shutil.which("tesseract") else "rapidocr")
    assert (await parse(real, sample("report.pdf", tmp_path))).ocr_engine == ""
