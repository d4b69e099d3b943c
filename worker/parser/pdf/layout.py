"""PyMuPDF's layout and table models as docling's layout and table stages.

``pymupdf.layout`` is no public interface: tests/integration/test_document_parser.py is the canary
that shows when a new PyMuPDF answers differently.
"""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from docling.datamodel.base_models import Cluster, LayoutPrediction, Page, Table, TableStructurePrediction
from docling.datamodel.document import ConversionResult
from docling.datamodel.pipeline_options import BaseLayoutOptions, BaseTableStructureOptions
from docling.models.base_layout_model import BaseLayoutModel
from docling.models.base_table_model import BaseTableStructureModel
from docling_core.types.doc import BoundingBox, CoordOrigin, DocItemLabel, TableCell

from worker.parser.pdf.backend import MuPdfPageBackend

_LABELS = {
    "text": DocItemLabel.TEXT,
    "title": DocItemLabel.SECTION_HEADER,
    "section-header": DocItemLabel.SECTION_HEADER,
    "list-item": DocItemLabel.LIST_ITEM,
    "caption": DocItemLabel.CAPTION,
    "footnote": DocItemLabel.FOOTNOTE,
    "formula": DocItemLabel.FORMULA,
    "page-header": DocItemLabel.PAGE_HEADER,
    "page-footer": DocItemLabel.PAGE_FOOTER,
    "picture": DocItemLabel.PICTURE,
    "table": DocItemLabel.TABLE,
}


class LayoutOptions(BaseLayoutOptions):
    """No options beyond docling's own."""

    kind: ClassVar[str] = "corral_mupdf_layout"


class TableOptions(BaseTableStructureOptions):
    """No options."""

    kind: ClassVar[str] = "corral_mupdf_tables"


class MuPdfLayoutModel(BaseLayoutModel):
    """Finds paragraphs, headings, lists, tables and pictures on a page."""

    def __init__(self, *, options: LayoutOptions) -> None:
        """Keep the options; the model itself belongs to PyMuPDF."""
        self.options = options

    @classmethod
    def get_options_type(cls) -> type[BaseLayoutOptions]:
        """Give the class of the options."""
        return LayoutOptions

    def predict_layout(self, conv_res: ConversionResult, pages: Sequence[Page]) -> list[LayoutPrediction]:
        """Find the blocks of each page."""
        del conv_res
        return [LayoutPrediction(clusters=_clusters(page)) for page in pages]


class MuPdfTableModel(BaseTableStructureModel):
    """Finds rows, columns and spans of the tables that the layout has found."""

    enabled = True

    def __init__(self, *, options: TableOptions) -> None:
        """Keep the options; the finder itself belongs to PyMuPDF."""
        self.options = options

    @classmethod
    def get_options_type(cls) -> type[BaseTableStructureOptions]:
        """Give the class of the options."""
        return TableOptions

    def predict_tables(self, conv_res: ConversionResult, pages: Sequence[Page]) -> list[TableStructurePrediction]:
        """Give each table cluster the structure of the found table that covers it best."""
        del conv_res
        return [_tables(page) for page in pages]


def found_tables(page: Page) -> list[Any]:
    """Find the tables of a page, once: the layout and the table stage both ask."""
    backend = _backend(page)
    if backend.found_tables is None:
        finder = backend.page.find_tables(union=True, refine=True) if _may_hold_table(backend) else None
        found = [table for table in finder.tables if table.placements] if finder else []
        offered = [table for table in backend.offered_tables if not any(_meet(table, other) for other in found)]
        backend.found_tables = [*found, *offered]
    return backend.found_tables


def _may_hold_table(backend: MuPdfPageBackend) -> bool:
    """Tell whether the finder is worth its tenth of a second: for a stroke, or a layout that names a table."""
    return any(group["class_name"] == "table" for group in _groups(backend.page)) or bool(backend.page.get_cdrawings())


def _meet(one: Any, other: Any) -> bool:  # noqa: ANN401 - PyMuPDF's classes are untyped
    return _box(one.bbox).intersection_area_with(_box(other.bbox)) > 0


def _clusters(page: Page) -> list[Cluster]:
    mupdf = _backend(page).page
    mupdf.get_layout(return_raw=True)
    boxes = [(_LABELS.get(group["class_name"], DocItemLabel.TEXT), group["group_bbox"][:4]) for group in _groups(mupdf)]
    tables = [_grown(page, table) for table in found_tables(page)]
    # Tables are taken from the finder: it splits and adds to what the layout saw as one.
    boxes = [(label, box) for label, box in boxes if label is not DocItemLabel.TABLE or not _any_meets(tables, box)]
    boxes += [(DocItemLabel.TABLE, box) for box in tables]
    return [Cluster(id=index, label=label, bbox=_box(box)) for index, (label, box) in enumerate(boxes)]


def _groups(page: Any) -> list[Any]:  # noqa: ANN401
    return page.layout_information or []


def _any_meets(tables: Sequence[Sequence[float]], box: Sequence[float]) -> bool:
    return any(_box(table).intersection_area_with(_box(box)) > 0 for table in tables)


def _grown(page: Page, table: Any) -> Sequence[float]:  # noqa: ANN401 - PyMuPDF's classes are untyped
    """Take in the whole of the lines that are centred in a table.

    The finder measures glyphs, the text cells whole lines: a heading row that sticks out by a
    few points would otherwise appear a second time, as a paragraph above the table.
    """
    left, top, right, bottom = table.bbox
    edges = [(left, top, right, bottom)]
    for cell in page.cells:
        box = cell.to_bounding_box()
        if left <= box.l and box.r <= right and top < (box.t + box.b) / 2 < bottom:
            edges.append((left, box.t, right, box.b))
    return left, min(edge[1] for edge in edges), right, max(edge[3] for edge in edges)


def _tables(page: Page) -> TableStructurePrediction:
    prediction = TableStructurePrediction()
    layout = page.predictions.layout
    for cluster in layout.clusters if layout else []:
        if cluster.label is not DocItemLabel.TABLE:
            continue
        found = max(found_tables(page), key=lambda table: _overlap(cluster, table), default=None)
        cells = list(_cells(found)) if found is not None and _overlap(cluster, found) > 0 else []
        prediction.table_map[cluster.id] = Table(
            otsl_seq=[],
            num_rows=max((cell.end_row_offset_idx for cell in cells), default=0),
            num_cols=max((cell.end_col_offset_idx for cell in cells), default=0),
            table_cells=cells,
            id=cluster.id,
            page_no=page.page_no,
            cluster=cluster,
            label=cluster.label,
        )
    return prediction


def _cells(table: Any) -> Iterator[TableCell]:  # noqa: ANN401 - PyMuPDF's classes are untyped
    """Number the cells of a ragged grid, in which a span leaves out the slots that it covers."""
    taken: set[tuple[int, int]] = set()
    for row, placements in enumerate(table.placements):
        column = 0
        for placed in placements:
            while (row, column) in taken:
                column += 1
            below, right = row + placed.rowspan, column + placed.colspan
            taken.update((r, c) for r in range(row, below) for c in range(column, right))
            yield TableCell(
                bbox=_box(placed.bbox) if placed.bbox else None,
                text=" ".join(placed.text.split()),
                row_span=placed.rowspan,
                col_span=placed.colspan,
                start_row_offset_idx=row,
                end_row_offset_idx=below,
                start_col_offset_idx=column,
                end_col_offset_idx=right,
                column_header=row < (table.header_rows or 0),
                row_header=placed.tag == "th" and row >= (table.header_rows or 0),
            )


def _overlap(cluster: Cluster, table: Any) -> float:  # noqa: ANN401
    return float(cluster.bbox.intersection_area_with(_box(table.bbox)))


def _backend(page: Page) -> MuPdfPageBackend:
    backend = page._backend  # noqa: SLF001 - docling hands the page to its stages this way
    if not isinstance(backend, MuPdfPageBackend):
        raise TypeError("the layout reads pages of PyMuPDF alone")
    return backend


def _box(box: Sequence[float]) -> BoundingBox:
    left, top, right, bottom = box[:4]
    return BoundingBox(l=left, t=top, r=right, b=bottom, coord_origin=CoordOrigin.TOPLEFT)
