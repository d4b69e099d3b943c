"""What a handler may ask of the world, each as a port that an adapter fills.

A handler's module names the ports it needs in ``PORTS``; they are opened when the worker starts
and reached with ``job.use(Port)``.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from pydantic import BaseModel

from schemas.artifact import Artifact
from schemas.envelope import Callback
from schemas.job_spec import AnySpec
from schemas.job_status import JobRecord, Progress
from schemas.jobs.callbacks import DeliveredCallback, SentEvent
from schemas.jobs.documents import ConvertOptions, OutputName, PageLane
from schemas.jobs.schedules import FireSchedule

Report = Callable[[Progress], Awaitable[None]]
P = TypeVar("P")


class JobContext(Protocol):
    """The job that a handler works for."""

    @property
    def id(self) -> str:
        """The job's public id; the same on every attempt."""

    @property
    def tenant(self) -> str:
        """Whose job it is."""

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1."""

    def use(self, port: type[P]) -> P:
        """Reach a port that the handler's module names in ``PORTS``."""

    async def progress(self, progress: Progress) -> None:
        """Tell the owner how far the job is; may be called often, the newest wins."""

    def heartbeat(self) -> None:
        """Give a sign of life; ``progress`` and ``log`` are one as well. See ``JobSpec.heartbeat_s``."""

    async def log(self, line: str) -> None:
        """Write a line for the owner, readable at ``GET /v1/jobs/{id}/logs``."""


@dataclass(frozen=True)
class ParsedDocument:
    """What a parser made of a document: facts, and one file per output in the folder given."""

    format: str
    media_type: str
    title: str
    pages: int
    ocr_pages: tuple[int, ...]
    outputs: dict[OutputName, Path]
    warnings: tuple[str, ...]
    parse_s: float
    lanes: dict[PageLane, int] = field(default_factory=dict)
    ocr_engine: str = ""


class DocumentParser(ABC):
    """Reads documents that nobody vouches for, in processes that may be killed."""

    @abstractmethod
    async def parse(
        self, document: Path, *, name: str, options: ConvertOptions, folder: Path, report: Report
    ) -> ParsedDocument:
        """Parse one document and write the outputs asked for into ``folder``.

        ``name`` is the file's name as its owner gave it, a hint at formats that bytes do not tell
        (Markdown from plain text). Cancelling the call kills the parser's process at once.
        Progress counts pages. Safe to repeat.

        Raises:
            DocumentEncrypted: it needs a password.
            DocumentUnreadable: damaged, empty, or nothing that a parser accepts.
            DocumentUnsupported: a format that no parser here reads.
            DocumentTooLarge: beyond ``max_pages`` or a limit on size, depth or expansion.
            ParserTimeout: it took longer than the adapter's limit.
            ParserOutOfMemory: it needed more memory than the adapter's limit.
            ParserCrashed: the process died for another reason.
        """


class FileStore(ABC):
    """Keeps files by the SHA-256 of their bytes, each tenant's apart."""

    @abstractmethod
    async def put(self, tenant: str, path: Path, *, media_type: str, name: str) -> Artifact:
        """Store a local file; storing the same bytes again changes nothing."""

    @abstractmethod
    async def path(self, tenant: str, ref: str) -> Path:
        """Give a local path at which the file can be read, never written.

        Raises:
            FileMissing: this tenant has no such file.
        """

    @abstractmethod
    async def describe(self, tenant: str, ref: str) -> Artifact:
        """Tell what is known about a stored file.

        Raises:
            FileMissing: this tenant has no such file.
        """


class SourceFetcher(ABC):
    """Fetches a file from an address that a caller gave, and never from inside our network."""

    @abstractmethod
    async def fetch(self, url: str, into: Path) -> str:
        """Stream the file to ``into`` and give its media type as the server states it.

        Raises:
            SourceRefused: the address is not public, or the answer says no for good (4xx, 3xx).
            SourceUnavailable: no connection, no answer in time, or 429/5xx.
            DocumentTooLarge: more than the adapter's limit.
        """


@dataclass(frozen=True)
class Notice:
    """A callback to send, for the ``job`` that carries it.

    ``id`` is its ``webhook-id``, the same on every try and of a replay; ``at`` is when that happened which it
    tells of. After the ``last`` try none follows.
    """

    id: str
    tenant: str
    callback: Callback
    event: SentEvent
    body: bytes
    at: datetime
    job_id: str
    kind: str
    carrier_id: str
    on_request: bool = False
    last: bool = False

    def delivered(self, receipt: "Receipt | None") -> DeliveredCallback:
        """Give the result of the job that carries it; without a receipt nobody wanted it."""
        came = {"status": receipt.status, "latency_s": receipt.latency_s} if receipt else {}
        return DeliveredCallback(webhook_id=self.id, type=self.event, sent=receipt is not None, **came)


@dataclass(frozen=True)
class Receipt:
    """How a receiver answered a callback."""

    status: int
    latency_s: float


class CallbackSender(ABC):
    """Signs a callback and POSTs it, and never into our own network."""

    @abstractmethod
    async def send(self, notice: Notice) -> Receipt | None:
        """POST under the headers of Standard Webhooks 1.0.0; a 2xx answer is a receipt.

        None when the endpoint does not hear of such events: then nothing was sent.

        Raises:
            CallbackRejected: no connection, no answer in time, or not 2xx.
            CallbackParked: the endpoint takes nothing now; nothing was sent.
            CallbackRefused: the address may not be reached, or the receiver said 410 Gone.
        """


class JobReader(ABC):
    """Reads the state of any job."""

    @abstractmethod
    async def read(self, job_id: str) -> JobRecord | None:
        """Give a job as it is now; None when the engine no longer has it."""


@dataclass(frozen=True)
class Child:
    """A job that another one has done. ``key`` tells it from its siblings, and is the same on every attempt."""

    key: str
    spec: AnySpec
    payload: BaseModel


class Children(ABC):
    """Lets a handler fan out: the parts are jobs of their own, with attempts, limits and workers of their own."""

    @abstractmethod
    async def run(
        self, job: JobContext, children: Sequence[Child], *, on_failure: Literal["fail", "collect"] = "fail"
    ) -> list[JobRecord]:
        """Have these jobs done, and give how each ended, in the order given.

        The first call adds them and ends the attempt: the job waits without a place in a worker, and its
        handler is called anew when all have ended, with nothing of the first call left. So what comes
        before this call must be safe to repeat, and the children the same each time. A child that is there is
        not added again. When the job is cancelled or fails, its children are cancelled.

        Raises:
            ChildrenPending: they run; let it pass.
            ChildFailed: with "fail", when all have ended and one has not completed.
            EngineUnavailable: the server did not confirm; worth another attempt.
        """


class Orders(ABC):
    """Adds the jobs of schedules, by the one way into a queue."""

    @abstractmethod
    async def due(self, firing_id: str) -> datetime:
        """Say when a firing was due, and make sure that its schedule has a next one."""

    @abstractmethod
    async def place(self, job: JobContext, firing: FireSchedule) -> str:
        """Add the job that a firing asks for and give its id; the same firing gives the same job.

        Raises:
            UnknownKind, PayloadInvalid: there is no such kind any more, or it wants another payload.
            TenantLimitReached: the tenant may not add a job now; worth another attempt.
            FiringSkipped: it still may not, and the schedule's next firing has come.
            EngineUnavailable: the server did not confirm; it is safe to try again.
        """
