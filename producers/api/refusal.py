"""Every way in which the API turns a request down; the class says what the caller may do about it.

Errors that the API shares with jobs (``payload_invalid``, ``file_missing``, ...) are in
``schemas/errors.py``; the table of all codes is ``docs/reference/errors.md``.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import ClassVar


class Refusal(Exception):  # noqa: N818 - it is an answer, not a fault
    """The root of all refusals; a detail is public, as a job's error is."""

    status: ClassVar[HTTPStatus] = HTTPStatus.BAD_REQUEST
    code: ClassVar[str] = "refused"

    def __init__(self, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        """Say why, for people; ``headers`` go with the answer."""
        super().__init__(detail)
        self.headers = headers


class HostRefused(Refusal):
    """The ``Host`` is not this machine, and there are no tokens. Remedy: call it as localhost, or set tokens."""

    status, code = HTTPStatus.BAD_REQUEST, "host_refused"


class BodyInvalid(Refusal):
    """The body cannot be read at all. Remedy: send well-formed JSON in UTF-8."""

    status, code = HTTPStatus.BAD_REQUEST, "body_invalid"


class MediaTypeUnsupported(Refusal):
    """The body is not announced as JSON. Remedy: send ``Content-Type: application/json``."""

    status, code = HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "media_type_unsupported"


class BodyIncomplete(Refusal):
    """The body ended before its announced length. Remedy: send it again."""

    status, code = HTTPStatus.BAD_REQUEST, "body_incomplete"


class Unauthorized(Refusal):
    """The request has no token, or an unknown one. Remedy: send ``Authorization: Bearer <token>``."""

    status, code = HTTPStatus.UNAUTHORIZED, "unauthorized"


class OperatorOnly(Refusal):
    """Only the operator may do this. Remedy: use the token of the tenant that ``CORRAL_API_OPERATOR`` names."""

    status, code = HTTPStatus.FORBIDDEN, "operator_only"


class RouteNotFound(Refusal):
    """There is no such address. Remedy: see ``/openapi.json``."""

    status, code = HTTPStatus.NOT_FOUND, "not_found"


class JobNotFound(Refusal):
    """This tenant has no such job, or it ended long ago. Remedy: check the id and the token."""

    status, code = HTTPStatus.NOT_FOUND, "job_not_found"


class QueueNotFound(Refusal):
    """No kind of job has this queue. Remedy: use one of those at ``/v1/queues``."""

    status, code = HTTPStatus.NOT_FOUND, "queue_not_found"


class WorkerNotFound(Refusal):
    """No worker of this id has reported lately. Remedy: use one of those at ``/v1/workers``."""

    status, code = HTTPStatus.NOT_FOUND, "worker_not_found"


class MethodNotAllowed(Refusal):
    """The address does not know this method. Remedy: use one of those in ``Allow``."""

    status, code = HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed"


class JobNotFinished(Refusal):
    """The job has no result yet. Remedy: ask again later, or listen at the job's events."""

    status, code = HTTPStatus.CONFLICT, "job_not_finished"


class JobHasNoResult(Refusal):
    """The job failed or was cancelled. Remedy: see the job's error; add it again when that is mended."""

    status, code = HTTPStatus.CONFLICT, "job_has_no_result"


class JobHasEnded(Refusal):
    """The job can no longer be cancelled. Remedy: none needed."""

    status, code = HTTPStatus.CONFLICT, "job_has_ended"


class QueueNotDrainable(Refusal):
    """The queue carries callbacks, and those are never given up. Remedy: pause it."""

    status, code = HTTPStatus.CONFLICT, "queue_not_drainable"


class BodyTooLarge(Refusal):
    """The JSON body is above ``CORRAL_API_BODY_LIMIT_BYTES``. Remedy: upload what is large as a file."""

    status, code = HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body_too_large"


class RangeNotSatisfiable(Refusal):
    """The file has no such bytes. Remedy: ask for a range within the size in ``Content-Range``."""

    status, code = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "range_not_satisfiable"


class FormInvalid(Refusal):
    """The form is broken or has no file. Remedy: send multipart/form-data with the file in ``file``."""

    status, code = HTTPStatus.UNPROCESSABLE_ENTITY, "form_invalid"


class TooManyListeners(Refusal):
    """As many listen to callbacks as may. Remedy: end one of yours, or wait as long as ``Retry-After`` says."""

    status, code = HTTPStatus.TOO_MANY_REQUESTS, "too_many_listeners"


class InternalError(Refusal):
    """Nobody foresaw it. Remedy: give the ``request_id`` to the operator, whose log has the trace."""

    status, code = HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error"
