"""A document parser without documents: formats by the real sniffing, words as they stand in the file."""

import re
from pathlib import Path

from schemas.errors import DocumentEncrypted, DocumentTooLarge, DocumentUnreadable
from schemas.job_status import Progress
from schemas.jobs.documents import ConvertOptions, OutputName
from worker.parser.formats.format import Format
from worker.parser.formats.sniff import sniff
from worker.ports import DocumentParser, ParsedDocument, Report

_FILES: dict[OutputName, str] = {
    "markdown": "document.md",
    "json": "document.json",
    "text": "document.txt",
    "html": "document.html",
    "pages": "pages.json",
    "chunks": "chunks.json",
}
_PAGE = re.compile(rb"/Type\s*/Page\b")


class FakeDocumentParser(DocumentParser):
    """Keeps the port's promises about formats, outputs, progress and refusals, and reads no text."""

    async def parse(
        self, document: Path, *, name: str, options: ConvertOptions, folder: Path, report: Report
    ) -> ParsedDocument:
        """Pretend to parse; every output holds the document's name."""
        kind = sniff(document, name)
        pages = _pages(document, options) if kind is Format.PDF else 0
        for done in range(pages + 1 if pages else 0):
            await report(Progress(done=done, total=pages, unit="pages"))
        outputs = {output: folder / _FILES[output] for output in options.outputs}
        for path in outputs.values():
            path.write_text(name, encoding="utf-8")
        return ParsedDocument(
            format=str(kind),
            media_type=kind.media_type,
            title=Path(name).stem,
            pages=pages,
            ocr_pages=(),
            outputs=outputs,
            warnings=(),
            parse_s=0.0,
        )


def _pages(document: Path, options: ConvertOptions) -> int:
    content = document.read_bytes()
    if b"/Encrypt" in content:
        raise DocumentEncrypted("the document needs a password: save it without one")
    pages = len(_PAGE.findall(content))
    if pages == 0:
        raise DocumentUnreadable("the pdf is damaged beyond repair: export it again")
    if pages > options.max_pages:
        raise DocumentTooLarge(f"the document has {pages} pages: split it")
    return pages
