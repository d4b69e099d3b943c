"""``documents.convert``: one document to Markdown, structure and text."""

import tempfile
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from schemas.artifact import Artifact, file_name
from schemas.jobs.documents import ConvertDocument, ConvertedDocument, FileSource, OutputName, UrlSource
from worker.ports import DocumentParser, FileStore, JobContext, ParsedDocument, SourceFetcher

PORTS = (DocumentParser, FileStore, SourceFetcher)

_KINDS_OF_OUTPUT: dict[OutputName, tuple[str, str]] = {
    "markdown": (".md", "text/markdown; charset=utf-8"),
    "json": (".json", "application/json"),
    "text": (".txt", "text/plain; charset=utf-8"),
    "html": (".html", "text/html; charset=utf-8"),
    "pages": (".pages.json", "application/json"),
    "chunks": (".chunks.json", "application/json"),
}


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
        source, document = await _obtain(payload.source, job, Path(folder))
        parsed = await job.use(DocumentParser).parse(
            document, name=source.name, options=payload.options, folder=Path(folder), report=job.progress
        )
        artifacts = {output: await _store(output, source, parsed, job) for output in sorted(parsed.outputs)}
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


async def _obtain(source: FileSource | UrlSource, job: JobContext, folder: Path) -> tuple[Artifact, Path]:
    files = job.use(FileStore)
    match source:
        case FileSource(file=ref, name=name):
            stored = await files.describe(job.tenant, ref)
        case UrlSource(url=url):
            fetched = folder / "source"
            media_type = await job.use(SourceFetcher).fetch(str(url), fetched)
            name = file_name(unquote(urlsplit(str(url)).path))
            # Kept, so that a result can always be traced to the bytes it was made from.
            stored = await files.put(job.tenant, fetched, media_type=media_type, name=name)
    named = stored.model_copy(update={"name": file_name(name or stored.name)})
    return named, await files.path(job.tenant, stored.ref)


async def _store(output: OutputName, source: Artifact, parsed: ParsedDocument, job: JobContext) -> Artifact:
    suffix, media_type = _KINDS_OF_OUTPUT[output]
    name = PurePosixPath(source.name).stem + suffix
    return await job.use(FileStore).put(job.tenant, parsed.outputs[output], media_type=media_type, name=name)
