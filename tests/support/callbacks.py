"""Jobs with callbacks, as the API adds them, for tests that deliver in their own process."""

from dataclasses import replace

from corral.stack import new_secret
from producers.engine.jobs import NewJob
from producers.engine.remembered import callback_id
from schemas import job_id as ids
from schemas.envelope import Callback, Envelope
from schemas.job_spec import RetrySchedule
from schemas.jobs.callbacks import DELIVER, PING, DeliverCallback
from tests.support.fleet import QUEUE, Fleet, Trial, spec
from worker.handlers.callbacks import deliver, ping
from worker.registry import Entry

SECRET = new_secret()
# As it ships, only sooner: ten attempts.
SOON = replace(DELIVER, retry=RetrySchedule((0.02,) * 9))
CALLBACKS = Entry(SOON, deliver.handle, frozenset(deliver.PORTS))
PINGS = Entry(PING, ping.handle, frozenset(ping.PORTS))


async def tell(fleet: Fleet, callback: Callback, tenant: str = "acme") -> str:
    """Add a job whose end is told; give the callback's id."""
    job_id = ids.new(QUEUE)
    notice = DeliverCallback(job_id=job_id, kind=spec().kind, callback=callback)
    parent = NewJob(callback_id(job_id), SOON, Envelope(tenant=tenant).wrap(notice))
    await fleet.engine.add(NewJob(job_id, spec(), Envelope(tenant=tenant).wrap(Trial()), parent))
    return parent.id
