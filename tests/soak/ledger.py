"""What was accepted and what was heard: the soak's own books, which the server's are held against."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from corral.receiver import Receiver
from schemas.job_status import JobState
from tests.soak.order import End, Order


@dataclass(frozen=True, slots=True)
class Fault:
    """A promise that was broken to the owner of a job."""

    job_id: str
    what: str


@dataclass(slots=True)
class Heard:
    """The callbacks of one job: how many came, and what the first of them said."""

    webhook_id: str
    end: End
    result: Any
    digest: bytes
    count: int = 1


@dataclass
class Ledger:
    """Jobs by their ids. ``unheard`` are those whose callback is still to come."""

    accepted: dict[str, Order] = field(default_factory=dict)
    accepted_at: dict[str, float] = field(default_factory=dict)
    heard: dict[str, Heard] = field(default_factory=dict)
    unheard: set[str] = field(default_factory=set)
    faults: list[Fault] = field(default_factory=list)
    refused: int = 0

    def accept(self, job_id: str, order: Order, at: float) -> None:
        """Note an answer of the API, at ``time.time()``; an order may be answered more than once."""
        if self.accepted.setdefault(job_id, order) is not order:
            self.faults.append(Fault(job_id, "two orders became one job"))
        self.accepted_at.setdefault(job_id, at)
        if order.sort.has_callback and job_id not in self.heard:
            self.unheard.add(job_id)

    def listen(self, receiver: Receiver) -> None:
        """Take over what has come to a receiver, so that its memory does not grow."""
        while receiver.received:
            callback = receiver.received.pop()
            job_id = callback.event["data"]["id"]
            self.unheard.discard(job_id)
            if not callback.verified:
                self.faults.append(Fault(job_id, "its callback's signature is wrong"))
            self._hear(job_id, callback.webhook_id, callback.event)

    def _hear(self, job_id: str, webhook_id: str, event: dict[str, Any]) -> None:
        data = event["data"]
        end = JobState(data["state"]), data.get("error", {}).get("code", "")
        digest = hashlib.sha256(json.dumps(event, sort_keys=True).encode()).digest()
        first = self.heard.get(job_id)
        if first is None:
            result = data.get("result") or {}
            self.heard[job_id] = Heard(webhook_id, end, result.get("number"), digest)
            return
        first.count += 1
        if first.webhook_id != webhook_id:
            self.faults.append(Fault(job_id, "its callbacks have different ids"))
        if first.digest != digest:
            self.faults.append(Fault(job_id, f"its callbacks differ: {first.end}, then {end}"))
