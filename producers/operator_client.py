"""What an operator does over the API: looks at queues and workers, and steers them."""

from urllib.parse import quote

from producers.client import Corral
from schemas.queue_status import AuditEntry, Drained, QueueLimits, QueueStatus
from schemas.worker_status import WorkerStatus


class Operator:
    """The operator's side of one API. Its methods raise as those of ``Corral`` do."""

    def __init__(self, corral: Corral) -> None:
        """Speak over a connection that the caller opens with the operator's token, and closes."""
        self._corral = corral

    async def queues(self) -> list[QueueStatus]:
        """Show every queue."""
        answer = await self._corral.request("GET", "/v1/queues")
        return [QueueStatus.model_validate(one) for one in answer["queues"]]

    async def pause(self, queue: str) -> QueueStatus:
        """Have no worker take a job of a queue."""
        return QueueStatus.model_validate(await self._corral.request("POST", f"{_queue(queue)}/pause"))

    async def resume(self, queue: str) -> QueueStatus:
        """Have workers take its jobs again."""
        return QueueStatus.model_validate(await self._corral.request("POST", f"{_queue(queue)}/resume"))

    async def drain(self, queue: str, *, delayed: bool) -> Drained:
        """Ask for the end of every job of a queue that has not begun."""
        params = {"delayed": str(delayed).lower()}
        return Drained.model_validate(await self._corral.request("POST", f"{_queue(queue)}/drain", params=params))

    async def limit(self, queue: str, limits: QueueLimits) -> QueueStatus:
        """Set what holds for a queue over all workers."""
        body = limits.model_dump(mode="json")
        return QueueStatus.model_validate(await self._corral.request("PUT", f"{_queue(queue)}/limits", json=body))

    async def workers(self) -> list[WorkerStatus]:
        """Show every worker."""
        answer = await self._corral.request("GET", "/v1/workers")
        return [WorkerStatus.model_validate(one) for one in answer["workers"]]

    async def drain_worker(self, worker_id: str) -> None:
        """Have one worker take nothing more."""
        await self._corral.request("POST", f"{_worker(worker_id)}/drain")

    async def resume_worker(self, worker_id: str) -> None:
        """Have it take jobs again."""
        await self._corral.request("POST", f"{_worker(worker_id)}/resume")

    async def resize_worker(self, worker_id: str, queue: str, concurrency: int) -> None:
        """Set how many jobs of a queue one worker runs at once."""
        body = {"queue": queue, "concurrency": concurrency}
        await self._corral.request("PUT", f"{_worker(worker_id)}/concurrency", json=body)

    async def audit(self, limit: int) -> list[AuditEntry]:
        """Show who steered what, newest first."""
        answer = await self._corral.request("GET", "/v1/audit", params={"limit": limit})
        return [AuditEntry.model_validate(one) for one in answer["entries"]]


def _queue(name: str) -> str:
    return f"/v1/queues/{quote(name, safe='')}"


def _worker(worker_id: str) -> str:
    return f"/v1/workers/{quote(worker_id, safe='')}"
