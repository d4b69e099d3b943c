"""Readers of texts: HTML, Markdown, AsciiDoc, LaTeX, JATS and plain text."""

import re
from collections.abc import Callable

from docling.backend.abstract_backend import DeclarativeDocumentBackend
from docling.backend.asciidoc_backend import AsciiDocBackend
from docling.backend.html_backend import HTMLDocumentBackend
from docling.backend.latex.backend import LatexDocumentBackend
from docling.backend.md_backend import MarkdownDocumentBackend
from docling.backend.xml.jats_backend import JatsDocumentBackend
from docling.datamodel.base_models import InputFormat
from docling_core.types.doc import DocItemLabel, DoclingDocument

from worker.parser.formats.declarative import by_docling, stem
from worker.parser.formats.markup_check import check_html, check_latex, check_markdown, check_text
from worker.parser.formats.text_decoding import decode, decode_html
from worker.parser.limit import ParserLimits
from worker.parser.reading import Reading, title_of
from worker.parser.request import ParseRequest

_HTML_TITLE = re.compile(r"<title[^>]*>([^<]*)</title", re.IGNORECASE)
_BLANK_LINES = re.compile(r"\n\s*\n")


def read_html(request: ParseRequest) -> Reading:
    """Read a web page; nothing that it refers to is fetched."""
    text, warnings = decode_html(request.document)
    check_html(text, request.limits)
    # The mark outranks the charset that the page declares, which these bytes no longer have.
    document = by_docling(request, InputFormat.HTML, HTMLDocumentBackend, text.encode("utf-8-sig"))
    stated = _HTML_TITLE.search(text)
    return Reading(document=document, title=title_of(document, stated[1] if stated else ""), warnings=warnings)


def read_markdown(request: ParseRequest) -> Reading:
    """Read Markdown."""
    return _read(request, InputFormat.MD, MarkdownDocumentBackend, check_markdown)


def read_asciidoc(request: ParseRequest) -> Reading:
    """Read AsciiDoc; what it includes is not there."""
    return _read(request, InputFormat.ASCIIDOC, AsciiDocBackend, check_html)


def read_latex(request: ParseRequest) -> Reading:
    """Read LaTeX; what it inputs is not there."""
    return _read(request, InputFormat.LATEX, LatexDocumentBackend, check_latex)


def read_jats(request: ParseRequest) -> Reading:
    """Read an article in the Journal Article Tag Suite; no entity is resolved."""
    text, warnings = decode(request.document)
    check_html(text, request.limits)
    # The bytes as they are: they say in which encoding, and the parser of XML believes no other word.
    document = by_docling(request, InputFormat.XML_JATS, JatsDocumentBackend, request.document.read_bytes())
    return Reading(document=document, title=title_of(document), warnings=warnings)


def read_text(request: ParseRequest) -> Reading:
    """Read plain text: a paragraph ends at a blank line."""
    text, warnings = decode(request.document)
    check_text(text, request.limits)
    document = DoclingDocument(name=stem(request))
    add_paragraphs(document, text)
    return Reading(document=document, title=title_of(document), warnings=warnings)


def add_paragraphs(document: DoclingDocument, text: str) -> None:
    """Add plain text, a paragraph for each block between blank lines."""
    for paragraph in _BLANK_LINES.split(text):
        if paragraph.strip():
            document.add_text(label=DocItemLabel.TEXT, text=paragraph.strip())


def _read(
    request: ParseRequest,
    kind: InputFormat,
    backend: type[DeclarativeDocumentBackend],
    check: Callable[[str, ParserLimits], None],
) -> Reading:
    text, warnings = decode(request.document)
    check(text, request.limits)
    document = by_docling(request, kind, backend, text.encode())
    return Reading(document=document, title=title_of(document), warnings=warnings)
