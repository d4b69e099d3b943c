"""A Python client of the API: what ``corral`` on the command line uses, and any program may."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx
from pydantic import BaseModel

from schemas.artifact import Artifact
from schemas.envelope import Callback
from schemas.errors import CorralError
from schemas.job_status import JobStatus, Progress
from schemas.schedule import ScheduleRequest, ScheduleStatus

_TIMEOUT = httpx.Timeout(30.0, connect=5.0)
# Above the server's heartbeat, which comes every 15 s on a quiet stream.
_QUIET_S = 45.0
_RECONNECT_S = 0.5
_BLOCK_BYTES = 1024 * 1024


class ApiRefused(CorralError):  # noqa: N818 - it is an answer, not a fault
    """The API said no; ``status`` is its HTTP status. Remedy: the message says it."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        """Keep the stable code for programs."""
        super().__init__(detail)
        self.status = status
        self.code = code  # type: ignore[misc]  # here the code is the server's


class ApiUnreachable(CorralError):  # noqa: N818 - as ApiRefused
    """The API does not answer. Remedy: start it, or correct its address."""

    code = "api_unreachable"


@dataclass(frozen=True)
class ServerSentEvent:
    """One event of a stream; ``id`` is empty when it has none."""

    id: str
    name: str
    data: str


@dataclass(frozen=True)
class JobEvent:
    """What happened to a job: a new ``status``, or ``progress`` on the way."""

    status: JobStatus | None = None
    progress: Progress | None = None


class Corral:
    """A connection to one API; use it as ``async with Corral("http://127.0.0.1:8000") as corral``.

    Every method raises ``ApiRefused`` when the API says no and ``ApiUnreachable`` when it says nothing.
    """

    def __init__(self, url: str, *, token: str | None = None) -> None:
        """Speak to the API at ``url`` as the tenant of ``token``."""
        headers = {b"Authorization": f"Bearer {token}".encode()} if token else {}
        # An address from the environment's proxy settings would see every document.
        self._http = httpx.AsyncClient(base_url=url, headers=headers, timeout=_TIMEOUT, trust_env=False)

    async def __aenter__(self) -> Self:
        """Open the connection."""
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        await self._http.__aexit__(kind, error, trace)

    async def upload(self, path: Path) -> Artifact:
        """Store a file, streaming it."""

        async def blocks() -> AsyncIterator[bytes]:
            with path.open("rb") as file:
                while block := file.read(_BLOCK_BYTES):
                    yield block

        answer = await self._call(
            "POST",
            "/v1/files",
            params={"name": path.name},
            content=blocks(),
            headers={"Content-Type": "application/octet-stream"},
        )
        return Artifact.model_validate(answer)

    async def enqueue(
        self,
        kind: str,
        payload: BaseModel | dict[str, Any],
        *,
        callback: Callback | None = None,
        idempotency_key: str | None = None,
    ) -> str:
        """Add a job and give its id. With a key, calling again gives the same job."""
        body: dict[str, Any] = {
            "payload": payload.model_dump(mode="json", exclude_unset=True)
            if isinstance(payload, BaseModel)
            else payload
        }
        if callback is not None:
            body["callback"] = callback.model_dump(mode="json")
        headers = {"Idempotency-Key": idempotency_key.encode()} if idempotency_key else {}
        answer = await self._call("POST", _one_of("jobs", kind), json=body, headers=headers)
        return str(answer["id"])

    async def status(self, job_id: str) -> JobStatus:
        """Tell where a job is."""
        return JobStatus.model_validate(await self._call("GET", _one_of("jobs", job_id)))

    async def result(self, job_id: str) -> Any:  # noqa: ANN401 - each kind has a result of its own
        """Give a completed job's result."""
        return await self._call("GET", f"{_one_of('jobs', job_id)}/result")

    async def logs(self, job_id: str) -> list[str]:
        """Give what the job's handler wrote, oldest first."""
        return list((await self._call("GET", f"{_one_of('jobs', job_id)}/logs"))["lines"])

    async def cancel(self, job_id: str) -> JobStatus:
        """Ask for a job's end."""
        return JobStatus.model_validate(await self._call("DELETE", _one_of("jobs", job_id)))

    async def put_schedule(self, schedule_id: str, request: ScheduleRequest) -> ScheduleStatus:
        """Keep a schedule, in place of an older one of the same id."""
        body = request.model_dump(mode="json", exclude_none=True)
        return ScheduleStatus.model_validate(await self._call("PUT", _one_of("schedules", schedule_id), json=body))

    async def schedules(self) -> list[ScheduleStatus]:
        """Give every schedule; the one that fires next is the first."""
        answer = await self._call("GET", "/v1/schedules")
        return [ScheduleStatus.model_validate(one) for one in answer["schedules"]]

    async def remove_schedule(self, schedule_id: str) -> None:
        """End a schedule."""
        await self._call("DELETE", _one_of("schedules", schedule_id))

    async def download(self, ref: str, into: Path) -> None:
        """Write a stored file to ``into``."""
        async with self._http.stream("GET", f"/v1/files/{ref}") as response:
            await _demand_success(response)
            with into.open("wb") as file:
                async for chunk in response.aiter_bytes():
                    file.write(chunk)

    async def events(self, job_id: str) -> AsyncGenerator[JobEvent, None]:
        """Follow a job until it has ended; goes on by itself when the stream breaks.

        Whoever may leave before the end iterates within ``contextlib.aclosing``, as with ``stream``.
        """
        last_id, ended = "", False
        while not ended:
            try:
                async with aclosing(self.stream(f"{_one_of('jobs', job_id)}/events", last_id)) as stream:
                    async for sent in stream:
                        last_id, event = sent.id, _event(sent)
                        yield event
                        ended = event.status is not None and event.status.state.final
            except httpx.TransportError as error:
                if not last_id:
                    raise self.unreachable() from error
            except ApiRefused as error:
                # An outage of the queue's server passes; whoever follows already sits it out.
                if not last_id or error.status != HTTPStatus.SERVICE_UNAVAILABLE:
                    raise
            if not ended:
                await asyncio.sleep(_RECONNECT_S)

    async def wait(self, job_id: str) -> JobStatus:
        """Return when the job has ended."""
        async with aclosing(self.events(job_id)) as events:
            async for event in events:
                if event.status is not None and event.status.state.final:
                    return event.status
        raise ApiUnreachable("the event stream ended before the job")

    async def request(self, method: str, path: str, **options: Any) -> Any:  # noqa: ANN401 - JSON
        """Make one request, for what has no method here, and give the answer's JSON."""
        return await self._call(method, path, **options)

    async def stream(self, path: str, last_id: str = "") -> AsyncGenerator[ServerSentEvent, None]:
        """Give the events of one stream until it ends or breaks, then with ``httpx.TransportError``.

        It holds a connection: iterate within ``contextlib.aclosing``, which gives that back at whatever end.
        """
        headers = {"Last-Event-ID": last_id} if last_id else {}
        timeout = httpx.Timeout(_QUIET_S, connect=5.0)
        async with self._http.stream("GET", path, headers=headers, timeout=timeout) as response:
            await _demand_success(response)
            fields: dict[str, str] = {}
            async for line in response.aiter_lines():
                name, _, value = line.partition(": ")
                if line:
                    fields[name] = value
                elif "data" in fields:
                    yield ServerSentEvent(fields.get("id", ""), fields.get("event", ""), fields["data"])
                    fields = {}

    async def _call(self, method: str, path: str, **options: Any) -> Any:  # noqa: ANN401 - JSON
        try:
            response = await self._http.request(method, path, **options)
        except httpx.TransportError as error:
            raise self.unreachable() from error
        await _demand_success(response)
        return response.json() if response.content else None

    def unreachable(self) -> ApiUnreachable:
        """Make the error that says where nobody answers."""
        return ApiUnreachable(f"no answer from {self._http.base_url}; is it running?")


def _one_of(collection: str, name: str) -> str:
    return f"/v1/{collection}/{quote(name, safe='')}"


async def _demand_success(response: httpx.Response) -> None:
    if response.is_success:
        return
    await response.aread()
    try:
        problem = response.json()
        raise ApiRefused(response.status_code, problem["code"], problem["detail"])
    except (ValueError, KeyError, TypeError) as error:
        code = f"http_{response.status_code}"
        raise ApiRefused(response.status_code, code, f"the api answered {response.status_code}") from error


def _event(sent: ServerSentEvent) -> JobEvent:
    data = json.loads(sent.data)
    if sent.name == "progress":
        return JobEvent(progress=Progress.model_validate(data))
    return JobEvent(status=JobStatus.model_validate(data))
