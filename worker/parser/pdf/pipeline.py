"""Docling's PDF pipeline, one page after the other, on PyMuPDF's models."""

from collections.abc import Callable

import pymupdf
from docling.datamodel.base_models import ConversionStatus, Page
from docling.datamodel.document import ConversionResult
from docling.datamodel.pipeline_options import LayoutPostprocessorOptions, ThreadedPdfPipelineOptions
from docling.models.stages.heading_hierarchy.heading_hierarchy_model import HeadingHierarchyModel
from docling.models.stages.layout.layout_postprocessing_model import LayoutPostprocessingModel
from docling.models.stages.page_assemble.page_assemble_model import PageAssembleModel, PageAssembleOptions
from docling.models.stages.reading_order.readingorder_model import ReadingOrderModel, ReadingOrderOptions
from docling.pipeline.standard_pdf_pipeline import StandardPdfPipeline

from worker.parser.ocr.text_layer import OcrPass
from worker.parser.pdf.backend import MuPdfDocumentBackend, MuPdfPageBackend
from worker.parser.pdf.layout import LayoutOptions, MuPdfLayoutModel, MuPdfTableModel, TableOptions
from worker.parser.pdf.order_stage import PageOrder
from worker.parser.pdf.page_furniture import settle_labels
from worker.parser.pdf.page_lane import PageLanes


class SerialPdfPipeline(StandardPdfPipeline):
    """Docling's stages in a plain loop.

    The original runs each stage in a thread of its own. PyMuPDF is not safe across threads, a
    child has one core, and a loop knows which page it has finished: that is the progress.
    """

    def __init__(self, lanes: PageLanes, ocr: OcrPass, finished: Callable[[int], None]) -> None:
        """``lanes`` and ``ocr`` say how each page is read; ``finished`` is told how many are done."""
        self.unreadable: list[int] = []
        self._lanes = lanes
        self._ocr = ocr
        self._finished = finished
        super().__init__(ThreadedPdfPipelineOptions())

    @property
    def warnings(self) -> tuple[str, ...]:
        """Name the pages that could not be read."""
        return tuple(f"page {number} is damaged and was left out" for number in self.unreadable)

    def _init_models(self) -> None:
        # Not super()'s: its table factory imports torch, its layout model asks a hub.
        self.keep_images = self.keep_backend = False
        layout = LayoutOptions()
        self.layout_model = MuPdfLayoutModel(options=layout)
        self.layout_postprocessing_model = LayoutPostprocessingModel(
            options=LayoutPostprocessorOptions(
                skip_cell_assignment=layout.skip_cell_assignment,
                keep_empty_clusters=layout.keep_empty_clusters,
                create_orphan_clusters=layout.create_orphan_clusters,
            )
        )
        self.table_model = MuPdfTableModel(options=TableOptions())
        self.assemble_model = PageAssembleModel(options=PageAssembleOptions())
        self.reading_order_model = ReadingOrderModel(options=ReadingOrderOptions())
        self.reading_order_model.ro_model = PageOrder(self._lanes.ordered_pages)
        self.heading_hierarchy_model = HeadingHierarchyModel(options=self.pipeline_options.heading_hierarchy_options)
        self.enrichment_pipe = []

    def _build_document(self, conv_res: ConversionResult) -> ConversionResult:
        backend = conv_res.input._backend  # noqa: SLF001 - as docling's own pipelines do
        if not isinstance(backend, MuPdfDocumentBackend):
            raise TypeError("the pipeline reads documents of PyMuPDF alone")
        conv_res._pdf_outline = backend.get_document_outline()  # noqa: SLF001
        for number in self._get_expected_page_nos(conv_res):
            try:
                conv_res.pages.append(self._read(conv_res, backend.load_page(number - 1)))
            except pymupdf.mupdf.FzErrorSystem:
                # The document is in memory, so the one system call that can fail is malloc.
                raise MemoryError from None
            except pymupdf.mupdf.FzErrorBase:
                # One bad page of a hundred is no reason to refuse the ninety-nine.
                self.unreadable.append(number)
            self._finished(number)
        conv_res.status = ConversionStatus.SUCCESS
        return conv_res

    def _assemble_document(self, conv_res: ConversionResult) -> ConversionResult:
        settle_labels(element for page in conv_res.pages if page.assembled for element in page.assembled.elements)
        return super()._assemble_document(conv_res)

    def _read(self, conv_res: ConversionResult, backend: MuPdfPageBackend) -> Page:
        ocr = self._ocr.prepare(backend)
        page = Page(page_no=backend.page_no, size=backend.get_size())
        page.assembled = self._lanes.read_fast(backend, ocr=ocr)
        if page.assembled is None:
            self._read_deep(conv_res, page, backend)
        return page

    def _read_deep(self, conv_res: ConversionResult, page: Page, backend: MuPdfPageBackend) -> None:
        page._backend = backend  # noqa: SLF001
        page.parsed_page = backend.get_segmented_page()
        pages = [page]
        for stage in (self.layout_model, self.layout_postprocessing_model, self.table_model, self.assemble_model):
            pages = list(stage(conv_res, pages))
        # A page is let go before the next is read: memory must not grow with the page count.
        page.parsed_page = None
        page._backend = None  # noqa: SLF001
