"""``callbacks.deliver``: tells a receiver how a job ended."""

from datetime import UTC, datetime

from schemas.callback_event import CallbackEvent, EndedJob
from schemas.envelope import OutcomeType
from schemas.errors import JobError, Retryable
from schemas.job_status import JobRecord, JobState
from schemas.jobs.callbacks import DELIVER, REPLAY_RETRY, DeliverCallback, DeliveredCallback
from worker.ports import CallbackSender, JobContext, JobReader, Notice

PORTS = (CallbackSender, JobReader)

# Standard Webhooks 1.0.0 asks senders to stay below 20 kB: receivers refuse what is larger.
_LIMIT_BYTES = 20_000
_LONGEST_MESSAGE = 1_000

_TYPES: dict[JobState, OutcomeType] = {
    JobState.COMPLETED: "job.completed",
    JobState.FAILED: "job.failed",
    JobState.CANCELLED: "job.cancelled",
}


class JobUnfinished(Retryable):
    """The job still runs, so there is nothing to tell yet. Remedy: none needed, Corral tries again."""

    code = "job_unfinished"


async def handle(payload: DeliverCallback, job: JobContext) -> DeliveredCallback:
    """Send one callback. Its id is this job's, or that of the callback it replays: every try carries the same one.

    Safe to repeat: a receiver knows a repetition by its ``webhook-id``.

    Raises:
        CallbackRejected: the receiver did not take it; worth another attempt.
        CallbackParked: its endpoint takes nothing now; no attempt.
        CallbackRefused: the address is not public or gone; never worth one.
        JobUnfinished: the job has not ended, though the engine says so; worth another attempt.
    """
    event = _event(payload, await job.use(JobReader).read(payload.job_id))
    if event.type not in payload.callback.events:
        return DeliveredCallback(webhook_id=payload.replay_of or job.id, type=event.type, sent=False)
    notice = Notice(
        id=payload.replay_of or job.id,
        tenant=job.tenant,
        callback=payload.callback,
        event=event.type,
        body=_body(event),
        at=event.timestamp,
        job_id=payload.job_id,
        kind=payload.kind,
        carrier_id=job.id,
        on_request=payload.replay_of is not None,
        last=job.attempt >= (REPLAY_RETRY if payload.replay_of else DELIVER.retry).attempts,
    )
    return notice.delivered(await job.use(CallbackSender).send(notice))


def _body(event: CallbackEvent) -> bytes:
    body = event.model_dump_json(exclude_none=True).encode()
    if len(body) <= _LIMIT_BYTES:
        return body
    links, error = {"result": f"/v1/jobs/{event.data.id}/result"}, event.data.error
    # Any program may have written why its job failed, at any length.
    cut = error and error.model_copy(update={"message": error.message[:_LONGEST_MESSAGE]})
    ended = event.data.model_copy(update={"result": None, "links": links, "error": cut})
    return event.model_copy(update={"data": ended}).model_dump_json(exclude_none=True).encode()


def _event(payload: DeliverCallback, record: JobRecord | None) -> CallbackEvent:
    if record is None:
        return _removed(payload)
    status = record.status
    if not status.state.final:
        raise JobUnfinished(f"the job {status.id} is {status.state}")
    ended = EndedJob(
        **status.model_dump(include={"id", "kind", "state", "attempts", "added_at", "started_at", "finished_at"}),
        result=record.result,
        error=status.error,
    )
    return CallbackEvent(type=_TYPES[status.state], timestamp=status.finished_at or datetime.now(UTC), data=ended)


def _removed(payload: DeliverCallback) -> CallbackEvent:
    # Only a person removes a job; whoever waits for its end must hear of that too.
    now = datetime.now(UTC)
    error = JobError(code="job_removed", message="an operator removed the job before it ended")
    ended = EndedJob(
        id=payload.job_id,
        kind=payload.kind,
        state=JobState.CANCELLED,
        attempts=0,
        added_at=now,
        finished_at=now,
        error=error,
    )
    return CallbackEvent(type="job.cancelled", timestamp=now, data=ended)
