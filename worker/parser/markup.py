"""Readers of the formats that have no pages: DOCX, HTML, Markdown and plain text."""

import re
from io import BytesIO
from pathlib import Path

from docling.backend.abstract_backend import DeclarativeDocumentBackend
from docling.backend.html_backend import HTMLDocumentBackend
from docling.backend.md_backend import MarkdownDocumentBackend
from docling.backend.msword_backend import MsWordDocumentBackend
from docling.datamodel.base_models import InputFormat
from docling.datamodel.document import InputDocument
from docling_core.types.doc import DocItemLabel, DoclingDocument

from schemas.errors import DocumentUnreadable
from worker.parser.docx_check import check_docx
from worker.parser.markup_check import check_html, check_markdown, check_text
from worker.parser.reading import Reading, title_of
from worker.parser.request import ParseRequest
from worker.parser.text_decoding import decode, decode_html

_HTML_TITLE = re.compile(r"<title[^>]*>([^<]*)</title", re.IGNORECASE)
_BLANK_LINES = re.compile(r"\n\s*\n")


def read_docx(request: ParseRequest) -> Reading:
    """Read a Word document."""
    check_docx(request.document, request.limits)
    document = _docling(request, InputFormat.DOCX, MsWordDocumentBackend, request.document.read_bytes())
    return Reading(document=document, title=title_of(document))


def read_html(request: ParseRequest) -> Reading:
    """Read a web page; nothing that it refers to is fetched."""
    text, warnings = decode_html(request.document)
    check_html(text, request.limits)
    # The mark outranks the charset that the page declares, which these bytes no longer have.
    document = _docling(request, InputFormat.HTML, HTMLDocumentBackend, text.encode("utf-8-sig"))
    stated = _HTML_TITLE.search(text)
    return Reading(document=document, title=title_of(document, stated[1] if stated else ""), warnings=warnings)


def read_markdown(request: ParseRequest) -> Reading:
    """Read Markdown."""
    text, warnings = decode(request.document)
    check_markdown(text, request.limits)
    document = _docling(request, InputFormat.MD, MarkdownDocumentBackend, text.encode())
    return Reading(document=document, title=title_of(document), warnings=warnings)


def read_text(request: ParseRequest) -> Reading:
    """Read plain text: a paragraph ends at a blank line."""
    text, warnings = decode(request.document)
    check_text(text, request.limits)
    document = DoclingDocument(name=_stem(request))
    for paragraph in _BLANK_LINES.split(text):
        if paragraph.strip():
            document.add_text(label=DocItemLabel.TEXT, text=paragraph.strip())
    return Reading(document=document, title=title_of(document), warnings=warnings)


def _docling(
    request: ParseRequest, kind: InputFormat, backend: type[DeclarativeDocumentBackend], content: bytes
) -> DoclingDocument:
    # Straight to the backend: DocumentConverter would import forty others.
    source = InputDocument(path_or_stream=BytesIO(content), format=kind, backend=backend, filename=_stem(request))
    opened = source._backend  # noqa: SLF001 - as docling's own pipelines do
    if not source.valid or not isinstance(opened, DeclarativeDocumentBackend):
        raise DocumentUnreadable(f"the {kind.value} is damaged: export it again")
    return opened.convert()


def _stem(request: ParseRequest) -> str:
    return Path(request.name).stem or "document"
