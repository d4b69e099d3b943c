"""``documents.chunk``: one document to chunks, and nothing else."""

import tempfile
from pathlib import Path

from schemas.jobs.documents import ChunkDocument, ChunkedDocument, ConvertOptions
from worker.handlers.documents.document import obtain, store
from worker.ports import DocumentParser, FileStore, JobContext, SourceFetcher

PORTS = (DocumentParser, FileStore, SourceFetcher)


async def handle(payload: ChunkDocument, job: JobContext) -> ChunkedDocument:
    """Chunk one document; the chunks are in the store before the job is completed.

    Safe to repeat: files are stored by their content.

    Raises:
        CorralError: as ``documents.convert`` does.
    """
    options = ConvertOptions(outputs=frozenset({"chunks"}), chunking=payload.chunking)
    with tempfile.TemporaryDirectory(prefix="chunk-") as folder:
        source, document = await obtain(payload.source, job, Path(folder))
        parsed = await job.use(DocumentParser).parse(
            document, name=source.name, options=options, folder=Path(folder), report=job.progress
        )
        chunks = await store("chunks", source, parsed, job)
    return ChunkedDocument(
        format=parsed.format,
        title=parsed.title,
        source=source.model_copy(update={"media_type": parsed.media_type}),
        chunks=chunks,
        warnings=parsed.warnings,
        parse_s=parsed.parse_s,
    )
