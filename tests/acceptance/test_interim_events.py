"""Events before a job's end, over HTTP and with the processes as they are deployed."""

from pathlib import Path

from corral.receiver import Receiver
from corral.stack import Stack
from producers.client import Corral
from schemas.envelope import Callback
from tests.support.document import long_pdf
from tests.support.until import until


async def test_a_receiver_hears_of_start_and_progress_before_the_end(
    stack: Stack, receiver: Receiver, tmp_path: Path
) -> None:
    """Each verified, each under an id of its own; the job goes on until both have come."""
    events = ["job.started", "job.progress", "job.cancelled"]
    callback = Callback.model_validate({"url": receiver.url, "events": events})

    def heard() -> set[str]:
        return {one.event["type"] for one in receiver.received}

    async with Corral(stack.api_url) as corral:
        ref = (await corral.upload(long_pdf(tmp_path, pages=400))).ref
        job_id = await corral.enqueue("documents.convert", {"source": {"file": ref}}, callback=callback)
        await until(lambda: heard() >= {"job.started", "job.progress"}, within_s=40)
        await corral.cancel(job_id)
        await until(lambda: "job.cancelled" in heard(), within_s=20)
    assert all(one.verified for one in receiver.received)
    assert {one.event["data"]["id"] for one in receiver.received} == {job_id}
    assert len({one.webhook_id for one in receiver.received}) == len(receiver.received)
    interim = [one.event for one in receiver.received if one.event["type"] != "job.cancelled"]
    assert {event["data"]["state"] for event in interim} == {"active"}
