"""``callbacks.ping``: sends an event to an endpoint, because somebody wants to see it arrive."""

from datetime import UTC, datetime

from schemas.endpoint import PingEvent
from schemas.envelope import Callback
from schemas.jobs.callbacks import PING, DeliveredCallback, PingEndpoint
from worker.ports import CallbackSender, JobContext, Notice

PORTS = (CallbackSender,)


async def handle(payload: PingEndpoint, job: JobContext) -> DeliveredCallback:
    """Send one event, whatever is known of the endpoint. Safe to repeat: its id is this job's.

    Raises:
        CallbackRejected: the receiver did not take it.
        CallbackParked: the endpoint has as many callbacks as it may; the ping waits.
        CallbackRefused: the endpoint is no more, its address may not be reached, or it answered 410.
    """
    event = PingEvent(timestamp=datetime.now(UTC), data={"endpoint": payload.endpoint})
    notice = Notice(
        id=job.id,
        tenant=job.tenant,
        callback=Callback(endpoint=payload.endpoint),
        event=event.type,
        body=event.model_dump_json().encode(),
        at=event.timestamp,
        job_id=job.id,
        kind=PING.kind,
        carrier_id=job.id,
        on_request=True,
        last=True,
    )
    return notice.delivered(await job.use(CallbackSender).send(notice))
