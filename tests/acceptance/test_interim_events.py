"""Events before a job's end, over HTTP and with the processes as they are deployed."""

from pathlib import Path

from corral.receiver import Receiver
from corral.stack import Stack
from producers.client import Corral
from schemas.envelope import Callback
from tests.support.until import until

REPORT = Path(__file__).parents[2] / "corral" / "samples" / "report.pdf"


async def test_a_receiver_hears_of_start_and_progress_before_the_end(stack: Stack, receiver: Receiver) -> None:
    """Each verified, each under an id of its own; a job that takes a second is slow enough."""
    events = ["job.started", "job.progress", "job.completed"]
    callback = Callback.model_validate({"url": receiver.url, "events": events})
    async with Corral(stack.api_url) as corral:
        ref = (await corral.upload(REPORT)).ref
        job_id = await corral.enqueue("documents.convert", {"source": {"file": ref}}, callback=callback)
        await until(
            lambda: {one.event["type"] for one in receiver.received} >= {"job.started", "job.completed"}, within_s=40
        )
    assert all(one.verified for one in receiver.received)
    assert {one.event["data"]["id"] for one in receiver.received} == {job_id}
    assert len({one.webhook_id for one in receiver.received}) == len(receiver.received)
    assert receiver.received[0].event["data"]["state"] == "active"
