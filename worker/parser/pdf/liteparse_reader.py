"""The fast reader: liteparse, which reads structure from geometry, without models."""

import re
from collections.abc import Sequence
from typing import Any

import liteparse

from worker.parser.pdf.fast_block import Block, BlockKind, Box, Cell

_EMPHASIS = re.compile(r"(?<!\\)(\*{1,3})(?=\S)(.+?)(?<=[^\s\\])\1")
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
_KINDS: dict[str, BlockKind] = {
    "heading": "heading",
    "paragraph": "text",
    "list_item": "list_item",
    "code": "code",
    "grid_fallback": "code",
    "table": "table",
}


def read_blocks(content: bytes, pages: Sequence[int]) -> dict[int, tuple[Block, ...]]:
    """Read some pages of a PDF, counted from 1; those that the library refuses are missing."""
    if not pages:
        return {}
    reader = liteparse.LiteParse(
        output_format="markdown",
        ocr_enabled=False,
        image_mode="off",
        extract_links=False,
        extract_blocks=True,
        # Whether a head repeats is judged over the whole document, not over these pages.
        keep_headers_footers=True,
        target_pages=",".join(map(str, pages)),
        quiet=True,
        num_workers=1,
    )
    try:
        found = reader.parse(content).pages
    except liteparse.ParseError:
        # MuPDF has opened the file: what this reader refuses, the deep lane reads.
        return {}
    return {
        page.page_num: tuple(_block(block) for block in page.blocks or () if block.kind in _KINDS and block.bbox)
        for page in found
    }


def _block(block: Any) -> Block:  # noqa: ANN401 - the library may be missing, and its types with it
    text = "\n".join(block.lines) if block.lines else _plain(block.text or "")
    if block.kind == "list_item" and block.marker:
        text = f"{block.marker} {text}"
    rows = [*([block.header] if block.header else []), *(block.rows or [])]
    return Block(
        kind=_KINDS[block.kind],
        text=text,
        box=_box(block.bbox),
        rows=tuple(tuple(Cell(_plain(cell.text), _box(cell.bbox)) for cell in row) for row in rows),
        has_header=bool(block.header),
        is_doubtful=block.kind == "grid_fallback",
    )


def _box(rect: Any) -> Box:  # noqa: ANN401
    return rect.x, rect.y, rect.x + rect.width, rect.y + rect.height


def _plain(text: str) -> str:
    """Take back the library's Markdown: ours is written from the document, with all the rest."""
    return _ESCAPED.sub(r"\1", _EMPHASIS.sub(r"\2", text))
