"""Every error Corral raises on purpose; the class says what may be done about it.

    CorralError
    ├── Retryable                 another attempt may succeed
    │   ├── SourceUnavailable         source_unavailable
    │   ├── ParserCrashed             parser_crashed
    │   ├── CallbackRejected          callback_rejected
    │   ├── RateLimited               rate_limited
    │   ├── HandlerFailed             handler_failed
    │   ├── JobHeartbeatLost          job_heartbeat_lost
    │   └── EngineUnavailable         engine_unavailable
    ├── Permanent                 no attempt will ever succeed
    │   ├── PayloadInvalid            payload_invalid
    │   ├── UnknownKind               unknown_kind
    │   ├── FileMissing               file_missing
    │   ├── SourceRefused             source_refused
    │   ├── CallbackRefused           callback_refused
    │   ├── JobExpired                job_expired
    │   ├── JobTimedOut               job_timed_out
    │   ├── JobStalled                job_stalled
    │   ├── ResultTooLarge            result_too_large
    │   ├── ChildFailed               child_failed
    │   ├── DocumentEncrypted         document_encrypted
    │   ├── DocumentUnreadable        document_unreadable
    │   ├── DocumentUnsupported       document_unsupported
    │   ├── DocumentTooLarge          document_too_large
    │   ├── ParserTimeout             parser_timeout
    │   └── ParserOutOfMemory         parser_out_of_memory
    ├── ChildrenPending           the job waits for its children     children_pending
    ├── Cancelled                 somebody asked for the job to end     job_cancelled
    └── Misconfigured             the operator must change a setting    misconfigured

A message is public: it is stored with the job, shown to its owner and sent in callbacks. It is
lower case, names the thing and the remedy, and carries no secret and no path.
"""

import re
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict

_TEXT = re.compile(r"^(?P<code>[a-z][a-z0-9_]*): (?P<message>.*)$", re.DOTALL)


class JobError(BaseModel):
    """Why a job failed, as its owner sees it.

    On the wire to the engine it is the one line ``code: message``, which bull-board and Node
    workers show as it is; ``parse`` reads it back.
    """

    model_config = ConfigDict(frozen=True)

    code: str
    message: str

    @classmethod
    def parse(cls, text: str, *, unknown: str) -> Self:
        """Read an engine's failure text; one that is not ours gets the code ``unknown``."""
        if match := _TEXT.match(text):
            return cls(code=match["code"], message=match["message"])
        return cls(code=unknown, message=text)

    def __str__(self) -> str:
        """Give the one line that the engine stores."""
        return f"{self.code}: {self.message}"


class CorralError(Exception):
    """The root: catch this to catch everything Corral raises on purpose."""

    code: ClassVar[str] = "corral_error"

    def public(self) -> JobError:
        """Give the part of the error that its owner may see."""
        return JobError(code=self.code, message=str(self))


class Retryable(CorralError):  # noqa: N818 - named for what may be done about it
    """Another attempt may succeed: the job's retry policy decides when."""

    code = "retryable"

    def __init__(self, message: str, *, retry_after_s: float = 0.0) -> None:
        """Keep the shortest wait, in seconds, that the other side has asked for."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Permanent(CorralError):  # noqa: N818 - named for what may be done about it
    """No attempt will ever succeed: the job is dead-lettered at once."""

    code = "permanent"


class SourceUnavailable(Retryable):
    """The source cannot be reached now. Remedy: none needed, Corral tries again."""

    code = "source_unavailable"


class ParserCrashed(Retryable):
    """The parser's process died. Remedy: none needed at first; a file that does it each time is bad."""

    code = "parser_crashed"


class CallbackRejected(Retryable):
    """The receiver did not answer 2xx in time. Remedy: look at the receiver; Corral tries again."""

    code = "callback_rejected"


class RateLimited(Retryable):
    """The other side asked us to wait. Remedy: none needed, Corral waits as long as it was told."""

    code = "rate_limited"


class EngineUnavailable(Retryable):
    """The queue's server does not answer. Remedy: start it, or correct ``CORRAL_REDIS_URL``."""

    code = "engine_unavailable"


class PayloadInvalid(Permanent):
    """The payload does not fit its schema. Remedy: correct the fields that the message names."""

    code = "payload_invalid"


class UnknownKind(Permanent):
    """The queue has no handler of that name. Remedy: use one of the names in the message."""

    code = "unknown_kind"


class FileMissing(Permanent):
    """The store has no such file for this tenant. Remedy: upload it and use the new reference."""

    code = "file_missing"


class SourceRefused(Permanent):
    """The source's address may not be reached, or said no for good. Remedy: give another source."""

    code = "source_refused"


class CallbackRefused(Permanent):
    """The callback's address may not be reached, or is gone. Remedy: give another address."""

    code = "callback_refused"


class JobExpired(Permanent):
    """The job waited longer than its limit and was not begun. Remedy: add it again, or allow it a longer wait."""

    code = "job_expired"


class JobTimedOut(Permanent):
    """The job ran for longer than its kind allows. Remedy: split the work."""

    code = "job_timed_out"


class JobStalled(Permanent):
    """The job's workers died under it too often. Remedy: look at the workers' memory and logs."""

    code = "job_stalled"


class HandlerFailed(Retryable):
    """The handler raised an error that nobody foresaw. Remedy: see the log, by job id."""

    code = "handler_failed"


class JobHeartbeatLost(Retryable):
    """The handler gave no sign of life within its limit. Remedy: none at first; see the log when it is each time."""

    code = "job_heartbeat_lost"


class ResultTooLarge(Permanent):
    """The handler's result does not fit into the queue. Remedy: the handler stores it as an artifact."""

    code = "result_too_large"


class DocumentEncrypted(Permanent):
    """The document needs a password. Remedy: upload it without one."""

    code = "document_encrypted"


class DocumentUnreadable(Permanent):
    """The document is damaged or not what it says. Remedy: export it again and upload that."""

    code = "document_unreadable"


class DocumentUnsupported(Permanent):
    """No parser reads this format. Remedy: convert it to one that the message names."""

    code = "document_unsupported"


class DocumentTooLarge(Permanent):
    """The document is beyond a limit. Remedy: split it; the message names the limit."""

    code = "document_too_large"


class ParserTimeout(Permanent):
    """The parser took longer than its limit. Remedy: split the document."""

    code = "parser_timeout"


class ParserOutOfMemory(Permanent):
    """The parser needed more memory than its limit. Remedy: split the document or raise the limit."""

    code = "parser_out_of_memory"


class ChildFailed(Permanent):
    """A job that this one had to wait for has failed. Remedy: see that job, then add this one again."""

    code = "child_failed"


class ChildrenPending(CorralError):  # noqa: N818 - it is a decision, not a fault
    """The job waits for jobs that it has added. Remedy: none, it is attempted anew when they have ended."""

    code = "children_pending"


class Cancelled(CorralError):  # noqa: N818 - it is a decision, not a fault
    """Somebody asked for the job to end. Remedy: none; add it again if that was a mistake."""

    code = "job_cancelled"


class Misconfigured(CorralError):  # noqa: N818 - it is the operator's to mend
    """A process cannot start as it is set up. Remedy: change the setting that the message names."""

    code = "misconfigured"
