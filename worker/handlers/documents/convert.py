"""``documents.convert``: one document to Markdown, structure and text."""

import tempfile
from pathlib import Path

from schemas.jobs.documents import ConvertDocument, ConvertedDocument
from worker.handlers.documents.document import obtain, store
from worker.ports import DocumentParser, FileStore, JobContext, SourceFetcher

PORTS = (DocumentParser, FileStore, SourceFetcher)


async def handle(payload: ConvertDocument, job: JobContext) -> ConvertedDocument:
    """Convert one document; every output is in the store before the job is completed.

    Safe to repeat: files are stored by their content.

    Raises:
        FileMissing, SourceRefused: there is no such document; never worth another attempt.
        SourceUnavailable: it cannot be reached now; worth one.
        DocumentEncrypted, DocumentUnreadable, DocumentUnsupported, DocumentTooLarge,
        ParserTimeout, ParserOutOfMemory: the document is at fault; never worth one.
    """
    with tempfile.TemporaryDirectory(prefix="convert-") as folder:
        source, document = await obtain(payload.source, job, Path(folder))
        parsed = await job.use(DocumentParser).parse(
            document, name=source.name, options=payload.options, folder=Path(folder), report=job.progress
        )
        artifacts = {output: await store(output, source, parsed, job) for output in sorted(parsed.outputs)}
    await job.log(f"converted {parsed.pages} pages of {parsed.format} in {parsed.parse_s:.2f} s")
    return ConvertedDocument(
        format=parsed.format,
        title=parsed.title,
        pages=parsed.pages,
        lanes=parsed.lanes,
        ocr_pages=parsed.ocr_pages,
        ocr_engine=parsed.ocr_engine,
        source=source.model_copy(update={"media_type": parsed.media_type}),
        artifacts=artifacts,
        warnings=parsed.warnings,
        parse_s=parsed.parse_s,
    )
