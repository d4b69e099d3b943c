"""Callbacks as tests see them: the product's handler, tried again at once, and what a receiver was told."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha1
from pathlib import Path
from typing import Any, Literal

from standardwebhooks.webhooks import Webhook

from corral.stack import new_secret
from producers.callbacks.gate import Breaker, Gate
from producers.engine.jobs import NewJob
from producers.engine.new_job import Keep
from producers.engine.notice import callback_id, plain_callback_id
from producers.engine.reconciliation import Reconciliation
from schemas import job_id as ids
from schemas.callback_event import CallbackEvent
from schemas.envelope import Callback, Envelope, EventType
from schemas.job_spec import AnySpec, RetrySchedule
from schemas.jobs.callbacks import DELIVER, PING, DeliverCallback
from tests.support.callback_sender import callback_sender, desk_of, job_reader
from tests.support.faulty_worker import HANG
from tests.support.fleet import QUEUE, Fleet, Trial, entry, spec, succeed
from tests.support.http_receiver import HttpReceiver
from tests.support.until import until
from worker.engine_worker import finish_script
from worker.handlers.callbacks import deliver as handler
from worker.handlers.callbacks import ping
from worker.ports import CallbackSender, JobReader
from worker.registry import Entry

Way = Literal["api", "plain"]
WAYS: tuple[Way, ...] = ("api", "plain")

SECRET = new_secret()
# As it ships, only sooner: ten attempts.
SOON = replace(DELIVER, retry=RetrySchedule((0.02,) * 9))
# What the server is asked by when a job ends.
END = sha1(finish_script().encode()).hexdigest().encode()  # noqa: S324 - the server's name for a script
CALLBACKS = Entry(SOON, handler.handle, frozenset(handler.PORTS))
PINGS = Entry(PING, ping.handle, frozenset(ping.PORTS))


@asynccontextmanager
async def sending(fleet: Fleet, **options: Any) -> AsyncIterator[dict[type, object]]:  # noqa: ANN401 - of the sender
    """Open the ports of the handler, as the product does, but for a breaker: its waits are as long as real outages.

    ``options`` are those of `callback_sender`.
    """
    desk = replace(desk_of(fleet.redis), gate=Gate(fleet.redis, prefix="bull", breaker=Breaker(failures=1_000)))
    async with callback_sender(fleet, SECRET, desk=desk, **options) as sender:
        yield {CallbackSender: sender, JobReader: job_reader(fleet)}


async def add(
    fleet: Fleet,
    url: str,
    *events: EventType,
    kind: AnySpec | None = None,
    delay_s: float = 0.0,
    **payload: Any,  # noqa: ANN401 - fields of the payload
) -> tuple[str, str]:
    """Add a job with a callback as the API does, in one flow; give the ids of both."""
    kind = kind or spec()
    job_id = ids.new(kind.queue)
    callback = Callback.model_validate({"url": url} | ({"events": events} if events else {}))
    told_of = DeliverCallback(job_id=job_id, kind=kind.kind, callback=callback)
    parent = NewJob(callback_id(job_id), SOON, Envelope().wrap(told_of))
    job = NewJob(job_id, kind, Envelope(callback=callback).wrap(Trial.model_validate(payload)), parent, delay_s)
    await fleet.engine.add(job)
    return job_id, parent.id


async def tell(fleet: Fleet, callback: Callback, tenant: str = "acme") -> str:
    """Add a job of a tenant whose end is told; give the callback's id."""
    job_id = ids.new(QUEUE)
    notice = DeliverCallback(job_id=job_id, kind=spec().kind, callback=callback)
    parent = NewJob(callback_id(job_id), SOON, Envelope(tenant=tenant).wrap(notice))
    await fleet.engine.add(NewJob(job_id, spec(), Envelope(tenant=tenant).wrap(Trial()), parent))
    return parent.id


async def enter(fleet: Fleet, way: Way, url: str, **options: Any) -> str:  # noqa: ANN401 - as anybody adds
    """Add a job that asks for a callback, through the API or plainly; give its public id."""
    if way == "plain":
        return await fleet.add_raw(wanting(url), **options)
    job_id, _ = await add(fleet, url, delay_s=options.get("delay", 0) / 1000)
    return job_id


async def enter_hanging(fleet: Fleet, way: Way, url: str, folder: Path) -> tuple[str, str]:
    """Add a job that runs until there is a file ``go`` in the folder; give its id and its callback's."""
    text = str(folder / "go")
    if way == "api":
        return await add(fleet, url, kind=HANG, text=text)
    job_id = await fleet.add_raw(wanting(url, text=text), name="hang", removeOnComplete=True, removeOnFail=True)
    return job_id, plain_callback_id(job_id)


def reconciliation(fleet: Fleet, *, keep: Keep = Keep(3600)) -> Reconciliation:  # noqa: B008 - frozen
    """What a worker process runs every minute; a ``turn`` of it is one minute's."""
    return Reconciliation(fleet.redis, prefix="bull", queues=[QUEUE], keep=keep)


def wanting(url: str, **payload: object) -> dict[str, object]:
    """Make the data of a plain job that asks for a callback."""
    return {**payload, "_corral": {"callback": {"url": url}}}


def told(receiver: HttpReceiver) -> CallbackEvent:
    """Give the one event that came, once its signature has been verified."""
    (event,) = all_told(receiver)
    return event


def all_told(receiver: HttpReceiver) -> list[CallbackEvent]:
    """Give every event that came, each with its signature verified."""
    return [
        CallbackEvent.model_validate(Webhook(SECRET).verify(request.body, request.headers))
        for request in receiver.requests
    ]


async def deliver(fleet: Fleet, receiver: HttpReceiver, ports: dict[type, object], count: int = 1) -> None:
    """Have the callbacks that are due sent, and see that there are so many."""
    async with fleet.worker(entry(succeed), CALLBACKS, ports=ports):
        await until(lambda: len(receiver.requests) >= count)
        await until(lambda: _idle(fleet))
    assert len(receiver.requests) == count


async def _idle(fleet: Fleet) -> bool:
    counts = await fleet.engine.counts("callbacks")
    return not any(counts[state] for state in ("waiting", "active", "delayed", "prioritized"))
