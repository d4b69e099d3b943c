"""From a file to a parsed document: sniff, check, read, write."""

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from schemas.errors import DocumentTooLarge
from worker.parser.formats.format import Format
from worker.parser.formats.mail import read_mail
from worker.parser.formats.markup import read_asciidoc, read_html, read_jats, read_latex, read_markdown, read_text
from worker.parser.formats.office import read_docx, read_epub, read_pptx, read_xlsx
from worker.parser.formats.records import read_csv, read_docling, read_json
from worker.parser.formats.sniff import sniff
from worker.parser.output import write_outputs
from worker.parser.pdf.reader import read_image, read_pdf, read_webp
from worker.parser.reading import Reading
from worker.parser.request import ParseRequest
from worker.ports import ParsedDocument

_READERS: dict[Format, Callable[[ParseRequest], Reading]] = {
    Format.PDF: read_pdf,
    Format.DOCX: read_docx,
    Format.PPTX: read_pptx,
    Format.XLSX: read_xlsx,
    Format.EPUB: read_epub,
    Format.HTML: read_html,
    Format.JATS: read_jats,
    Format.MARKDOWN: read_markdown,
    Format.ASCIIDOC: read_asciidoc,
    Format.LATEX: read_latex,
    Format.CSV: read_csv,
    Format.JSON: read_json,
    Format.DOCLING: read_docling,
    Format.MAIL: read_mail,
    Format.TEXT: read_text,
    Format.PNG: read_image,
    Format.JPEG: read_image,
    Format.TIFF: read_image,
    Format.WEBP: read_webp,
}


def convert(request: ParseRequest, started: float) -> ParsedDocument:
    """Convert a document; ``started`` is when, on the monotonic clock.

    Raises:
        CorralError: one of those that ``DocumentParser.parse`` declares.
    """
    if request.document.stat().st_size > request.limits.max_file_bytes:
        raise DocumentTooLarge(f"the file is over {request.limits.max_file_bytes} bytes: split it")
    kind = sniff(request.document, request.name)
    reading = _READERS[kind](request)
    outputs = write_outputs(reading, request.options, request.folder)
    return ParsedDocument(
        format=str(kind),
        media_type=kind.media_type,
        title=reading.title or Path(request.name).stem,
        pages=reading.pages,
        ocr_pages=reading.ocr_pages,
        outputs=outputs,
        warnings=reading.warnings,
        parse_s=round(time.monotonic() - started, 3),
        lanes=dict(Counter(report.lane for report in reading.page_reports)),
        ocr_engine=reading.ocr_engine,
    )
