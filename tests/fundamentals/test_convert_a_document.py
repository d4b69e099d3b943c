"""The main job, as its users know it: a document goes in, its Markdown and a signed callback come out."""

from importlib.resources import files
from pathlib import Path

from corral.receiver import Receiver
from corral.stack import Stack
from producers.client import Corral
from schemas.envelope import Callback
from schemas.job_status import JobState
from schemas.jobs.documents import ConvertDocument, FileSource
from tests.support.until import until

SAMPLES = Path(str(files("corral") / "samples"))


async def test_a_document_becomes_markdown_and_its_owner_is_told(
    stack: Stack, receiver: Receiver, tmp_path: Path
) -> None:
    """Upload, enqueue, follow, fetch: and the callback says the same, signed."""
    async with Corral(stack.api_url) as corral:
        source = await corral.upload(SAMPLES / "letter.docx")
        payload = ConvertDocument(source=FileSource(file=source.ref))
        callback = Callback.model_validate({"url": receiver.url})

        job_id = await corral.enqueue("documents.convert", payload, callback=callback)
        status = await corral.wait(job_id)

        assert status.state is JobState.COMPLETED
        result = await corral.result(job_id)
        await corral.download(result["artifacts"]["markdown"]["ref"], tmp_path / "letter.md")
        assert (tmp_path / "letter.md").read_text().startswith("#")

    await until(lambda: bool(receiver.received), within_s=10)
    (told,) = receiver.received
    assert told.verified
    assert told.event["type"] == "job.completed"
    assert told.event["data"]["id"] == job_id
    assert told.event["data"]["result"] == result
