"""Readers of documents in containers: Word, PowerPoint, Excel, EPUB. A slide is a page, and so is a sheet."""

import re

from docling.backend.epub_backend import EpubDocumentBackend
from docling.backend.msexcel_backend import MsExcelDocumentBackend
from docling.backend.mspowerpoint_backend import MsPowerpointDocumentBackend
from docling.backend.msword_backend import MsWordDocumentBackend
from docling.datamodel.base_models import InputFormat

from schemas.errors import DocumentTooLarge
from worker.parser.formats.container_check import check_docx, check_pptx, check_xlsx, opened
from worker.parser.formats.declarative import by_docling
from worker.parser.formats.markup_check import check_html
from worker.parser.reading import Reading, title_of
from worker.parser.request import ParseRequest

_CHAPTER = re.compile(r".+\.(?:xhtml|xht|html?)", re.IGNORECASE)


def read_docx(request: ParseRequest) -> Reading:
    """Read a Word document."""
    check_docx(request.document, request.limits)
    document = by_docling(request, InputFormat.DOCX, MsWordDocumentBackend, request.document.read_bytes())
    return Reading(document=document, title=title_of(document))


def read_pptx(request: ParseRequest) -> Reading:
    """Read a presentation with what its speaker notes; hidden slides are left out."""
    check_pptx(request.document, request.limits)
    document = by_docling(request, InputFormat.PPTX, MsPowerpointDocumentBackend, request.document.read_bytes())
    return Reading(document=document, title=title_of(document), pages=len(document.pages))


def read_xlsx(request: ParseRequest) -> Reading:
    """Read a workbook: the values that its formulas had, and no hidden sheet."""
    check_xlsx(request.document, request.limits)
    document = by_docling(request, InputFormat.XLSX, MsExcelDocumentBackend, request.document.read_bytes())
    return Reading(document=document, title=title_of(document), pages=len(document.pages))


def read_epub(request: ParseRequest) -> Reading:
    """Read a book, its chapters in order."""
    with opened(request.document, request.limits) as archive:
        chapters = [entry for entry in archive.infolist() if _CHAPTER.fullmatch(entry.filename)]
        # As of one page: docling joins them before it reads them.
        if sum(chapter.file_size for chapter in chapters) > request.limits.max_markup_bytes:
            raise DocumentTooLarge(f"the book's text is over {request.limits.max_markup_bytes} bytes: split it")
        for chapter in chapters:
            check_html(archive.read(chapter).decode(errors="replace"), request.limits)
    document = by_docling(request, InputFormat.EPUB, EpubDocumentBackend, request.document.read_bytes())
    return Reading(document=document, title=title_of(document))
