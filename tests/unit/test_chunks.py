"""A document in chunks: whole sentences, rows and code, under their headings, within the limit."""

import re

import pytest
from docling_core.types.doc import (
    BoundingBox,
    CoordOrigin,
    DocItemLabel,
    DoclingDocument,
    ProvenanceItem,
    Size,
    TableCell,
    TableData,
)
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.jobs.documents import ChunkOptions, ChunkStrategy
from worker.parser.chunks import quality
from worker.parser.chunks.block import Block, Place, blocks
from worker.parser.chunks.chunk import Chunk, chunks
from worker.parser.chunks.split import pieces
from worker.parser.chunks.token import count

TWELVE = "Twelve ships lay in the harbour when the storm came up from the south."


def table(rows: int) -> TableData:
    """A table of two columns with a header."""
    texts = [["Ship", "Tons"], *([f"Ship {row}", str(row)] for row in range(rows))]
    cells = [
        TableCell(
            text=text,
            start_row_offset_idx=row,
            end_row_offset_idx=row + 1,
            start_col_offset_idx=column,
            end_col_offset_idx=column + 1,
            column_header=row == 0,
        )
        for row, line in enumerate(texts)
        for column, text in enumerate(line)
    ]
    return TableData(table_cells=cells, num_rows=rows + 1, num_cols=2)


@pytest.fixture
def document() -> DoclingDocument:
    """Two sections on two pages: text, a list and a long table; then code."""
    made = DoclingDocument(name="harbour")
    for page in (1, 2):
        made.add_page(page, Size(width=100, height=200))

    def on(page: int) -> ProvenanceItem:
        box = BoundingBox(l=10, t=190, r=90, b=150, coord_origin=CoordOrigin.BOTTOMLEFT)
        return ProvenanceItem(page_no=page, bbox=box, charspan=(0, 0))

    made.add_title("Harbour", prov=on(1))
    made.add_heading("Ships", level=1, prov=on(1))
    made.add_text(DocItemLabel.TEXT, TWELVE, prov=on(1))
    items = made.add_list_group()
    for item in ("one", "two"):
        made.add_list_item(item, parent=items, prov=on(1))
    made.add_table(table(20), prov=on(2))
    made.add_heading("Code", level=1, prov=on(2))
    made.add_code("\n".join(f"call(number={number})" for number in range(40)), prov=on(2))
    return made


def test_blocks_stand_under_their_headings(document: DoclingDocument) -> None:
    """Which end where one of the same level begins; with their places from the top left."""
    found = list(blocks(document))
    assert [(block.kind, block.headings, block.page) for block in found] == [
        ("text", ("Harbour", "Ships"), 1),
        ("list", ("Harbour", "Ships"), 1),
        ("table", ("Harbour", "Ships"), 2),
        ("code", ("Harbour", "Code"), 2),
    ]
    assert found[0].places == (Place(1, 10, 10, 90, 50),)


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("hierarchical", [("text",), ("list",), ("table",), ("code",)]),
        ("hybrid", [("text", "list", "table"), ("code",)]),
        ("page", [("text", "list"), ("table", "code")]),
        ("tabular", [("text", "list"), ("table",), ("code",)]),
    ],
)
def test_a_strategy_says_what_belongs_together(
    document: DoclingDocument, strategy: ChunkStrategy, expected: list[tuple[str, ...]]
) -> None:
    """Where everything fits."""
    found = chunks(blocks(document), ChunkOptions(strategy=strategy, max_tokens=8_000))
    assert [chunk.kinds for chunk in found] == expected


def test_a_chunk_over_several_headings_has_those_that_all_of_it_is_under(document: DoclingDocument) -> None:
    """On a page where two sections meet."""
    last = chunks(blocks(document), ChunkOptions(strategy="page", max_tokens=8_000))[-1]
    assert (last.headings, last.pages) == (("Harbour",), (2,))


def test_a_table_is_cut_between_rows_and_keeps_its_header(document: DoclingDocument) -> None:
    """Each row once, and in order."""
    found = chunks(blocks(document), ChunkOptions(strategy="tabular", max_tokens=64))
    tables = [chunk.text.split("\n") for chunk in found if chunk.kinds == ("table",)]
    assert len(tables) > 2
    assert all(lines[:2] == ["| Ship | Tons |", "| - | - |"] for lines in tables)
    assert [row for lines in tables for row in lines[2:]] == [f"| Ship {row} | {row} |" for row in range(20)]
    assert all(count("\n".join(lines)) <= 64 for lines in tables)


def test_code_is_never_cut(document: DoclingDocument) -> None:
    """However long: the flag says so."""
    found = chunks(blocks(document), ChunkOptions(max_tokens=32))
    flags = dict(zip([chunk.kinds for chunk in found], quality.flags(found, 32), strict=True))
    assert [chunk.text.count("call(") for chunk in found if "code" in chunk.kinds] == [40]
    assert "oversized" in flags[("code",)]


def block(text: str, heading: str = "A") -> Block:
    """A paragraph."""
    return Block("text", text, (heading,), ())


def test_overlap_is_whole_sentences_of_one_section() -> None:
    """As many as fit, and none of another section."""
    text = " ".join(f"Sentence number {number} is here." for number in range(12))
    found = chunks([block(text), block(text, "B")], ChunkOptions(max_tokens=48, overlap_tokens=16))
    first, second = found[:2]
    assert second.overlap
    assert first.text.endswith(second.overlap)
    assert second.text.startswith(second.overlap)
    assert re.match(r"Sentence number \d+ is here\.", second.overlap)
    assert next(chunk.overlap for chunk in found if chunk.headings == ("B",)) == ""
    assert all(count(chunk.text) <= 48 for chunk in found)


def test_nothing_is_cut_into_nothing() -> None:
    """An empty document has no chunks."""
    assert chunks([], ChunkOptions()) == []


def test_the_overlap_must_leave_room() -> None:
    """Else every chunk would repeat the one before."""
    with pytest.raises(ValidationError, match="at most half"):
        ChunkOptions(max_tokens=100, overlap_tokens=51)


@given(
    st.lists(st.text(max_size=300).map(lambda text: text.replace("|", " ").strip()).filter(bool), max_size=8),
    st.integers(32, 80),
    st.sampled_from(["hierarchical", "hybrid", "page", "tabular"]),
)
def test_no_text_is_lost_and_none_is_too_long(texts: list[str], limit: int, strategy: ChunkStrategy) -> None:
    """Whatever it is written in."""
    found = chunks([block(text) for text in texts], ChunkOptions(strategy=strategy, max_tokens=limit))
    assert "".join("".join(chunk.text for chunk in found).split()) == "".join("".join(texts).split())
    assert all(count(chunk.text) <= limit for chunk in found)


@given(st.lists(st.text(alphabet="abc ,.", min_size=1, max_size=40), min_size=1, max_size=20), st.integers(1, 30))
def test_a_list_is_cut_between_its_items(items: list[str], limit: int) -> None:
    """Or within one that is too long by itself."""
    listed = Block("list", "\n".join(f"- {item}" for item in items), (), ())
    found = list(pieces(listed, limit))
    assert "".join("".join(found).split()) == "".join(listed.text.split())
    assert all(count(piece) <= limit for piece in found)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("ship", 1),
        ("harbour", 2),
        ("a-b", 3),
        ("1,310", 3),
        ("\u6e2f\u53e3", 2),
        ("port\u6e2f", 2),
        ("\u00e9t\u00e9", 1),
    ],
)
def test_tokens_are_counted_without_a_vocabulary(text: str, tokens: int) -> None:
    """Six letters of a word, a mark, or one letter of a script without spaces."""
    assert count(text) == tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TWELVE + " " + TWELVE, ()),
        ("2", ("short", "unfinished")),
        (TWELVE.rstrip(".") + " and", ("unfinished",)),
        ("~~ ^^ ## %% && ** (( )) == ++ -- :: ;; !! ?? a.", ("noisy",)),
    ],
)
def test_the_flags_say_what_is_wrong(text: str, expected: tuple[quality.Flag, ...]) -> None:
    """Of prose; and the score falls with each."""
    (found,) = quality.flags([Chunk(text, (), ("text",), ())], 512)
    assert found == expected
    assert (quality.score(found) == 1.0) is (not expected)
    assert 0 <= quality.score(["short", "oversized", "unfinished", "noisy", "repeated"]) < quality.score(found)


def test_what_each_page_repeats_is_told() -> None:
    """Though its figure differs."""
    feet = [Chunk(f"Annual report, page {page}.", (), ("text",), ()) for page in range(3)]
    assert ["repeated" in one for one in quality.flags([*feet, Chunk(TWELVE, (), ("text",), ())], 512)] == [
        True
    ] * 3 + [False]
