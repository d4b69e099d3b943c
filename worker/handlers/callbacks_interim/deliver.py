"""``callbacks-interim.deliver``: tells a receiver that a job has started, or how far it is."""

from datetime import UTC, datetime

from schemas.callback_event import InterimEvent, RunningJob
from schemas.jobs.callbacks import DeliveredCallback
from schemas.jobs.callbacks_interim import DELIVER, DeliverInterim
from worker.ports import CallbackSender, JobContext, JobReader, Notice

PORTS = (CallbackSender, JobReader)

_FIELDS = {"id", "kind", "state", "attempts", "added_at", "started_at"}


async def handle(payload: DeliverInterim, job: JobContext) -> DeliveredCallback:
    """Look at the job and send how it is now; of a job that has ended there is nothing to send.

    Safe to repeat: a ``job.started`` has one ``webhook-id`` on every try. Each try of a ``job.progress`` is a new
    look, and so an event with an id of its own.

    Raises:
        CallbackRejected: the receiver did not take it; worth another attempt.
        CallbackRefused: the address is not public or gone; never worth one.
    """
    record = await job.use(JobReader).read(payload.job_id)
    if record is None or record.status.state.final:
        return DeliveredCallback(webhook_id=job.id, type=payload.type, sent=False)
    status, now = record.status, datetime.now(UTC)
    running = RunningJob(**status.model_dump(include=_FIELDS))
    event = InterimEvent(type=payload.type, timestamp=status.started_at or now, data=running)
    webhook_id = job.id
    if payload.type == "job.progress":
        running.progress, event.timestamp = status.progress, now
        webhook_id = f"{job.id}-{round(now.timestamp() * 1000)}"
    notice = Notice(
        id=webhook_id,
        tenant=job.tenant,
        callback=payload.callback,
        event=payload.type,
        body=event.model_dump_json(exclude_none=True).encode(),
        at=event.timestamp,
        job_id=payload.job_id,
        kind=status.kind,
        carrier_id=job.id,
        last=job.attempt >= DELIVER.retry.attempts,
    )
    return notice.delivered(await job.use(CallbackSender).send(notice))
