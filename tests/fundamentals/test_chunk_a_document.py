"""A document is read once and cut for search as often as somebody likes."""

import json
from importlib.resources import files
from pathlib import Path

from corral.stack import Stack
from producers.client import Corral
from schemas.job_status import JobState
from schemas.jobs.documents import ChunkDocument, ChunkOptions, ConvertDocument, FileSource

SAMPLES = Path(str(files("corral") / "samples"))


async def test_a_converted_document_is_chunked_from_what_it_became(stack: Stack, tmp_path: Path) -> None:
    """Convert, then chunk its JSON by pages; a document that was not converted would do as well."""
    async with Corral(stack.api_url) as corral:
        source = await corral.upload(SAMPLES / "report.pdf")
        job_id = await corral.enqueue("documents.convert", ConvertDocument(source=FileSource(file=source.ref)))
        await corral.wait(job_id)
        converted = (await corral.result(job_id))["artifacts"]["json"]["ref"]

        payload = ChunkDocument(source=FileSource(file=converted), chunking=ChunkOptions(strategy="page"))
        job_id = await corral.enqueue("documents.chunk", payload)
        assert (await corral.wait(job_id)).state is JobState.COMPLETED
        result = await corral.result(job_id)
        await corral.download(result["chunks"]["ref"], tmp_path / "chunks")

    chunks = json.loads((tmp_path / "chunks").read_text())["chunks"]
    assert (result["format"], result["chunks"]["name"]) == ("docling", "report.chunks.json")
    assert [chunk["pages"] for chunk in chunks] == [[1], [2], [3]]
    assert all(chunk["headings"] or chunk["text"] for chunk in chunks)
