"""Cancelling what really runs: a large document in a child process, by the API, with its callback."""

import time
from pathlib import Path

from corral.receiver import Receiver
from corral.stack import Stack
from producers.client import Corral
from schemas.envelope import Callback
from schemas.job_status import JobState, JobStatus
from schemas.jobs.documents import ConvertDocument, FileSource
from tests.support.child_process_ids import alive, descendants
from tests.support.document import long_pdf
from tests.support.until import until


def used_ticks() -> dict[int, int]:
    """Give the processor time of each process below this one that has no children of its own: those that parse."""
    return {pid: _ticks(pid) for pid in descendants() if not descendants(pid)}


def _ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0  # gone since, so it is not the one that parses
    return int(fields[11]) + int(fields[12])


async def test_a_conversion_is_cancelled_within_a_second(stack: Stack, receiver: Receiver, tmp_path: Path) -> None:
    """DELETE ends the job, kills the child that parses, and the owner is told once, signed."""
    async with Corral(stack.api_url) as corral:
        # A child that parses may be there already, from an earlier test.
        before = used_ticks()
        source = await corral.upload(long_pdf(tmp_path, pages=400))
        payload = ConvertDocument(source=FileSource(file=source.ref))
        job_id = await corral.enqueue(
            "documents.convert", payload, callback=Callback.model_validate({"url": receiver.url})
        )

        async def parsing() -> bool:
            status = await corral.status(job_id)
            return status.progress is not None and status.progress.done > 0

        await until(parsing, within_s=40)
        parser, _ = max(used_ticks().items(), key=lambda used: used[1] - before.get(used[0], 0))
        asked = time.monotonic()
        await corral.cancel(job_id)

        async def cancelled() -> JobStatus | None:
            status = await corral.status(job_id)
            return status if status.finished_at else None

        status = await until(cancelled, within_s=5)
        ended_s = time.monotonic() - asked
        await until(lambda: not alive(parser), within_s=5)
        killed_s = time.monotonic() - asked

    assert status.state is JobState.CANCELLED
    assert status.error is not None
    assert status.error.code == "job_cancelled"
    assert ended_s < 1.0, ended_s
    assert killed_s < 1.0, killed_s
    await until(lambda: bool(receiver.received), within_s=10)
    (told,) = receiver.received
    assert told.verified
    assert (told.event["type"], told.event["data"]["id"]) == ("job.cancelled", job_id)
