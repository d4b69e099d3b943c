"""Readers of CSV and JSON: records become tables, a converted document itself, and other JSON stays as code."""

import csv
import json
from collections.abc import Iterable, Iterator

from docling_core.types.doc import CodeLanguageLabel, DoclingDocument, TableCell, TableData
from pydantic import ValidationError

from schemas.errors import DocumentTooLarge, DocumentUnreadable
from worker.parser.formats.declarative import stem
from worker.parser.formats.markup_check import check_text
from worker.parser.formats.text_decoding import decode
from worker.parser.reading import Reading, title_of
from worker.parser.request import ParseRequest

_DELIMITERS = ",;\t|"
_SAMPLE_LINES = 20
_SCALAR = (str, int, float, bool, type(None))


def read_csv(request: ParseRequest) -> Reading:
    """Read delimited text; its first row is the header. Nothing in a cell is interpreted.

    Raises:
        DocumentTooLarge: it has too many cells.
        DocumentUnreadable: a quote that is opened is never closed, or a cell is too long.
    """
    text, warnings = decode(request.document)
    check_text(text, request.limits)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    rows = csv.reader((f"{line}\n" for line in lines), delimiter=_delimiter(lines), strict=True)
    document = DoclingDocument(name=stem(request))
    try:
        document.add_table(_table((row for row in rows if any(row)), request.limits.max_cells))
    except csv.Error as error:
        raise DocumentUnreadable(
            f"the csv cannot be read at line {rows.line_num} ({error}): export it again"
        ) from error
    return Reading(document=document, title="", warnings=warnings)


def read_json(request: ParseRequest) -> Reading:
    """Read JSON.

    Raises:
        DocumentUnreadable: it is none.
        DocumentTooLarge: it is too long, or a table of too many cells.
    """
    text, warnings = decode(request.document)
    check_text(text, request.limits)
    try:
        content = json.loads(text)
    except ValueError as error:
        raise DocumentUnreadable(f"the json cannot be read ({error}): export it again") from error
    document = DoclingDocument(name=stem(request))
    if _is_flat(content):
        names = list(dict.fromkeys(name for record in content for name in record))
        rows = ([_cell(record.get(name)) for name in names] for record in content)
        document.add_table(_table([names, *rows], request.limits.max_cells))
    else:
        document.add_code(json.dumps(content, indent=2, ensure_ascii=False), code_language=CodeLanguageLabel.JSON)
    return Reading(document=document, title="", warnings=warnings)


def read_docling(request: ParseRequest) -> Reading:
    """Read a document that was converted before, from its JSON.

    Raises:
        DocumentUnreadable: it is not what docling writes.
        DocumentTooLarge: it is too long.
    """
    if request.document.stat().st_size > request.limits.max_docling_bytes:
        raise DocumentTooLarge(f"the json is over {request.limits.max_docling_bytes} bytes: convert the document anew")
    try:
        document = DoclingDocument.model_validate_json(request.document.read_bytes())
    except ValidationError as error:
        raise DocumentUnreadable("the json is no docling document: convert the document anew") from error
    return Reading(document=document, title=title_of(document), pages=len(document.pages))


def _delimiter(lines: list[str]) -> str:
    """Choose what gives the first lines the same number of cells, and the most of them; else the comma.

    ``csv.Sniffer`` takes a letter for a delimiter when that fits; only four are in use.
    """
    sample = [line for line in lines[:_SAMPLE_LINES] if line]

    def fitness(delimiter: str) -> tuple[bool, int]:
        counts = [len(row) for row in csv.reader(sample, delimiter=delimiter)]
        return len(set(counts)) == 1, max(counts, default=0)

    best = max(_DELIMITERS, key=fitness)
    return best if fitness(best)[1] > 1 else ","


def _table(rows: Iterable[list[str]], max_cells: int) -> TableData:
    cells: list[TableCell] = []
    count = columns = 0
    for count, row in enumerate(rows, 1):
        columns = max(columns, len(row))
        cells.extend(_cells(count - 1, row))
        if len(cells) > max_cells:
            raise DocumentTooLarge(f"the table has over {max_cells} cells: split it, or import it")
    return TableData(table_cells=cells, num_rows=count, num_cols=columns)


def _cells(number: int, row: list[str]) -> Iterator[TableCell]:
    for column, text in enumerate(row):
        yield TableCell(
            text=text,
            start_row_offset_idx=number,
            end_row_offset_idx=number + 1,
            start_col_offset_idx=column,
            end_col_offset_idx=column + 1,
            column_header=number == 0,
        )


def _is_flat(content: object) -> bool:
    return (
        isinstance(content, list)
        and bool(content)
        and all(
            isinstance(record, dict) and record and all(isinstance(value, _SCALAR) for value in record.values())
            for record in content
        )
    )


def _cell(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)
