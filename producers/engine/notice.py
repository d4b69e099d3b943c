"""The callback of a job, as a job: what it is called and what it is told."""

from hashlib import sha256

from producers.engine.new_job import NewJob
from schemas.envelope import Envelope
from schemas.jobs.callbacks import DELIVER, DeliverCallback


def callback_id(job_id: str) -> str:
    """Name a job's callback: the job's own characters, so that whoever sees one id finds the other."""
    return f"{DELIVER.queue}_{job_id.partition('_')[2]}"


def plain_callback_id(job_id: str) -> str:
    """Name the callback of a job whose id is not ours: ``documents_17`` and ``imports_17`` are two."""
    return f"{DELIVER.queue}_{sha256(job_id.encode()).hexdigest()[:26]}"


def notice(job_id: str, kind: str, envelope: Envelope, *, notice_id: str) -> NewJob | None:
    """Make the callback that a job's envelope asks for; None when it asks for none."""
    if envelope.callback is None:
        return None
    told = DeliverCallback(job_id=job_id, kind=kind, callback=envelope.callback)
    beside = Envelope(tenant=envelope.tenant, traceparent=envelope.traceparent)
    return NewJob(notice_id, DELIVER, beside.wrap(told))
