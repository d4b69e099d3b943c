"""Children in memory, for tests of handlers: does them when it is told, as workers would."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel

from schemas.errors import ChildFailed, ChildrenPending, CorralError
from schemas.job_status import JobRecord, JobState, JobStatus
from worker.ports import Child, Children, JobContext


class FakeChildren(Children):
    """Remembers what was added, and ends it by ``work``."""

    def __init__(self) -> None:
        """Begin with no child."""
        self.added: dict[tuple[str, str], Child] = {}
        self._ended: dict[tuple[str, str], JobRecord] = {}

    async def run(
        self, job: JobContext, children: Sequence[Child], *, on_failure: Literal["fail", "collect"] = "fail"
    ) -> list[JobRecord]:
        """Add what is missing, or give how all ended."""
        keys = [(job.id, child.key) for child in children]
        for key, child in zip(keys, children, strict=True):
            self.added.setdefault(key, child)
        if missing := [key for key in keys if key not in self._ended]:
            raise ChildrenPending(f"{len(missing)} jobs that this one waits for are to be done")
        found = [self._ended[key] for key in keys]
        failed = [one.status for one in found if one.status.state is not JobState.COMPLETED]
        if failed and on_failure == "fail":
            raise ChildFailed(f"{len(failed)} of {len(found)}; {failed[0].id} is {failed[0].state}: {failed[0].error}")
        return found

    async def work(self, handle: Callable[[BaseModel], Awaitable[BaseModel]]) -> None:
        """End every child that has not ended, by what ``handle`` returns or raises."""
        for key, child in self.added.items():
            if key not in self._ended:
                self._ended[key] = await _done(f"{child.spec.queue}_{child.key}", child, handle)


async def _done(job_id: str, child: Child, handle: Callable[[BaseModel], Awaitable[BaseModel]]) -> JobRecord:
    state, error, result = JobState.COMPLETED, None, None
    try:
        result = (await handle(child.payload)).model_dump(mode="json")
    except CorralError as raised:
        state, error = JobState.FAILED, raised.public()
    now = datetime.now(UTC)
    status = JobStatus(
        id=job_id, kind=child.spec.kind, state=state, attempts=1, error=error, added_at=now, finished_at=now
    )
    return JobRecord(status=status, data=child.payload.model_dump(mode="json"), result=result)
