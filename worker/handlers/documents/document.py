"""What handlers of documents share: where a document comes from, and where what is made of it goes."""

from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from schemas.artifact import Artifact, file_name
from schemas.jobs.documents import FileSource, OutputName, UrlSource
from worker.ports import FileStore, JobContext, ParsedDocument, SourceFetcher

_KINDS_OF_OUTPUT: dict[OutputName, tuple[str, str]] = {
    "markdown": (".md", "text/markdown; charset=utf-8"),
    "json": (".json", "application/json"),
    "text": (".txt", "text/plain; charset=utf-8"),
    "html": (".html", "text/html; charset=utf-8"),
    "pages": (".pages.json", "application/json"),
    "chunks": (".chunks.json", "application/json"),
}


async def obtain(source: FileSource | UrlSource, job: JobContext, folder: Path) -> tuple[Artifact, Path]:
    """Give a document as it is in the store, and the path to read it at; one that is fetched is stored first.

    Raises:
        FileMissing, SourceRefused, SourceUnavailable: there is none, or it cannot be reached.
    """
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


async def store(output: OutputName, source: Artifact, parsed: ParsedDocument, job: JobContext) -> Artifact:
    """Keep one output, under the document's name."""
    suffix, media_type = _KINDS_OF_OUTPUT[output]
    name = PurePosixPath(source.name).stem + suffix
    return await job.use(FileStore).put(job.tenant, parsed.outputs[output], media_type=media_type, name=name)
