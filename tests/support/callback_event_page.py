"""``python -m tests.support.callback_event_page``: writes docs/reference/callback-events.md and its JSON Schema.

The examples are what the handlers send about jobs that are made up here. A test checks that both files are
what this program would write.
"""

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from standardwebhooks.webhooks import Webhook

from schemas.callback_event import json_schema
from schemas.envelope import Callback, EventType
from schemas.errors import Cancelled as CancelledError
from schemas.errors import DocumentUnreadable, JobError
from schemas.job_status import JobRecord, JobState, JobStatus, Progress
from schemas.jobs.callbacks import DELAYS_S, DeliverCallback
from schemas.jobs.callbacks_interim import DELAYS_S as INTERIM_DELAYS_S
from schemas.jobs.callbacks_interim import DeliverInterim
from tests.support.delivery import delivery
from worker.context import Context
from worker.handlers.callbacks.deliver import handle as deliver
from worker.handlers.callbacks_interim.deliver import handle as deliver_interim
from worker.interim import EVERY_S
from worker.ports import CallbackSender, JobReader, Notice, Receipt

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
PAGE, SCHEMA = FOLDER / "callback-events.md", FOLDER / "callback-events.schema.json"

SECRET = "whsec_ZG9jdW1lbnRhdGlvbi1vbmx5LW5vdC1hLXNlY3JldA=="
_JOB, _CALLBACK = "documents_01m80t8224q9kxf5160y0xhdrk", "callbacks_01m80t8224q9kxf5160y0xhdrk"
_NEWS = "callbacks-interim_4f0c1d8b6a2e97351c0d84fa6b"
_ADDED, _STARTED = datetime(2026, 1, 5, 9, 30, 0, tzinfo=UTC), datetime(2026, 1, 5, 9, 30, 2, tzinfo=UTC)
_SEEN, _ENDED = datetime(2026, 1, 5, 9, 30, 5, tzinfo=UTC), datetime(2026, 1, 5, 9, 30, 9, tzinfo=UTC)
_RESULT = {"format": "pdf", "pages": 3, "outputs": {"markdown": {"ref": f"sha256-{'5e' * 32}", "size_bytes": 2914}}}
_EVENTS: tuple[tuple[EventType, str], ...] = (
    ("job.completed", "`data.result` is what `GET /v1/jobs/{id}/result` gives, or `data.links.result` leads there"),
    ("job.failed", "`data.error` has a [code](errors.md); nothing tries the job again"),
    ("job.cancelled", "`data.error` says by what: `job_cancelled`, or `job_removed` by an operator"),
    ("job.started", "an attempt has begun; `data.attempts` says which"),
    ("job.progress", f"how far the job is; at most one in {EVERY_S:g} s, and the newest wins"),
)


@dataclass
class _Records(JobReader):
    """Knows one job."""

    record: JobRecord

    async def read(self, _job_id: str) -> JobRecord:
        return self.record


@dataclass
class _Sent(CallbackSender):
    """Keeps what was sent."""

    callbacks: list[tuple[str, bytes]] = field(default_factory=list)

    async def send(self, notice: Notice) -> Receipt:
        assert notice.tenant == "acme"
        self.callbacks.append((notice.id, notice.body))
        return Receipt(204, 0.01)


async def example(event: EventType, result: object = _RESULT) -> tuple[str, bytes]:
    """Have a handler send an event; give its ``webhook-id`` and its body."""
    sent = _Sent()
    callback = Callback.model_validate({"url": "https://example.org/hook", "events": [event]})
    ports: dict[type, object] = {CallbackSender: sent, JobReader: _Records(_record(event, result))}
    match event:
        case "job.started" | "job.progress":
            job = Context(delivery(id=_NEWS), tenant="acme", ports=ports)
            await deliver_interim(DeliverInterim(job_id=_JOB, type=event, callback=callback), job)
        case _:
            job = Context(delivery(id=_CALLBACK), tenant="acme", ports=ports)
            await deliver(DeliverCallback(job_id=_JOB, kind="documents.convert", callback=callback), job)
    webhook_id, body = sent.callbacks[0]
    # The moment of a look at a job is the one thing here that would differ from run to run.
    return (f"{_NEWS}-{_ms(_SEEN)}", _timed(body)) if event == "job.progress" else (webhook_id, body)


def _record(event: EventType, result: object) -> JobRecord:
    state, error = _ENDS.get(event, (JobState.ACTIVE, None))
    status = JobStatus(
        id=_JOB,
        kind="documents.convert",
        state=state,
        attempts=1,
        added_at=_ADDED,
        started_at=_STARTED,
        finished_at=_ENDED if state.final else None,
        progress=Progress(done=1, total=3, unit="pages"),
        error=error,
    )
    return JobRecord(status=status, data={}, result=result if state is JobState.COMPLETED else None)


_ENDS: dict[EventType, tuple[JobState, JobError | None]] = {
    "job.completed": (JobState.COMPLETED, None),
    "job.failed": (JobState.FAILED, DocumentUnreadable("the pdf is damaged beyond repair: export it again").public()),
    "job.cancelled": (JobState.CANCELLED, CancelledError("the job was cancelled while it ran").public()),
}


def _timed(body: bytes) -> bytes:
    event = json.loads(body)
    return json.dumps(event | {"timestamp": _SEEN.strftime("%Y-%m-%dT%H:%M:%SZ")}, separators=(",", ":")).encode()


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


async def page() -> str:
    """Give the whole page."""
    webhook_id, body = await example("job.completed")
    rows = [f"| `{event}` | {what} |" for event, what in _EVENTS]
    others = [await _shown(event) for event, _ in _EVENTS[1:]]
    _, linked = await example("job.completed", {"text": "x" * 30_000})
    signature = Webhook(SECRET).sign(webhook_id, _ENDED, body.decode())
    return _PAGE.format(
        webhook_id=webhook_id,
        timestamp=int(_ENDED.timestamp()),
        signature=signature,
        body=body.decode(),
        secret=SECRET,
        rows="\n".join(rows),
        others="\n".join(others),
        links=json.dumps(json.loads(linked)["data"]["links"]),
        every_s=EVERY_S,
        tries=len(DELAYS_S) + 1,
        interim_tries=len(INTERIM_DELAYS_S) + 1,
        interim_s=sum(INTERIM_DELAYS_S),
    )


async def _shown(event: EventType) -> str:
    webhook_id, body = await example(event)
    return f"`webhook-id: {webhook_id}`\n\n```json\n{json.dumps(json.loads(body), indent=2)}\n```\n"


def schema() -> str:
    """Give the JSON Schema as its file has it."""
    return json.dumps(json_schema(), indent=2) + "\n"


_PAGE = """\
# Callback events

<!-- Made by `python -m tests.support.callback_event_page`; edit that. -->

```http
POST /hook HTTP/1.1
content-type: application/json
webhook-id: {webhook_id}
webhook-timestamp: {timestamp}
webhook-signature: {signature}

{body}
```

A callback is a [Standard Webhooks 1.0.0](https://www.standardwebhooks.com) event: verify it with any of its
libraries and your secret, before you read it. In Python (`pip install standardwebhooks`):

```python
from standardwebhooks import Webhook

event = Webhook("{secret}").verify(body, headers)
```

## Which there are

| `type` | says |
| --- | --- |
{rows}

The first three are sent unless `callback.events` says otherwise; the other two only to those who name them there:
`"callback": {{"url": "https://example.org/hook", "events": ["job.started", "job.progress", "job.completed"]}}`.

The bodies are described by a [JSON Schema](callback-events.schema.json), and in `GET /openapi.json` under `webhooks`.
`version` is 1 and changes when a field goes or means something else. Fields may be added: ignore those that you do
not know. A body stays below 20 kB: a result that is too large for it is left out, and `data.links` is
`{links}`.

## What a receiver may rely on

- **One event, one `webhook-id`**, on every try. An event may come twice: keep the ids of the last three days.
- **An outcome is the last word.** A job has one, tried {tries} times over three days until you answer 2xx. What comes
  after it about the same job is older news that was overtaken: drop it.
- **Before the outcome, the later `timestamp` is the newer**, by the clocks of the workers. Events may overtake each
  other on the way.
- **`job.started` and `job.progress` are news, not promises.** They are sent while the job has not ended, so a quick job
  may have none. They are tried {interim_tries} times within {interim_s:g} s, longer if you send `Retry-After`, and then
  given up. A `job.progress` is a look at the job when it is sent: what was reported in between is not sent, and a
  second try looks anew, under an id of its own.
- **News costs an outcome nothing.** It has a queue, `callbacks-interim`, and places in the workers of its own; of each
  job at most one start per attempt and one progress wait there.

## The others

{others}"""


async def _write() -> None:
    PAGE.write_text(await page())
    SCHEMA.write_text(schema())


if __name__ == "__main__":
    asyncio.run(_write())
    print(f"{PAGE.name} and {SCHEMA.name} are written")  # noqa: T201 - a program says what it did
