"""A worker as several processes: what each is told, and one address that answers for all of them."""

import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from http import HTTPStatus
from pathlib import Path

import structlog
from prometheus_client import CONTENT_TYPE_LATEST

from worker.core_count import shares
from worker.health_server import Address, Answer, Routes, fetch, serving, verdict
from worker.merged_metrics import merged
from worker.registry import Registry
from worker.settings import WorkerSettings
from worker.supervisor import Plan, Supervisor

log = structlog.get_logger()

DOCUMENTS = "documents"


async def run(settings: WorkerSettings, registry: Registry, module: str = "worker") -> int:
    """Run ``worker_processes`` processes of ``module`` until SIGTERM, and give the code to exit with.

    Raises:
        Misconfigured: the address of the metrics cannot be listened on.
    """
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="corral-worker-")))
        plans = planned(settings, registry.queues, module, folder)
        supervisor = Supervisor(plans, grace_s=settings.stop_grace_s)
        if settings.worker_metrics_port:
            address = Address(settings.worker_metrics_host, settings.worker_metrics_port)
            await stack.enter_async_context(serving(address, _Answers(supervisor).routes()))
        log.info("supervisor.started", processes=len(plans), queues=registry.queues)
        code = await supervisor.run()
        log.info("supervisor.stopped", code=code)
        return code


def planned(settings: WorkerSettings, queues: Sequence[str], module: str, folder: Path) -> list[Plan]:
    """Say what each process is told. The parsers are divided, so that there are no more than were set."""
    processes = settings.worker_processes
    if list(queues) == [DOCUMENTS]:
        processes = min(processes, settings.parser_processes)
    plans = []
    for number, parsers in enumerate(shares(settings.parser_processes, processes)):
        # One without a parser does not read documents: they would wait in it while others are free.
        served = [queue for queue in queues if queue != DOCUMENTS or parsers]
        socket = folder / f"{number}.sock"
        environment = {
            "CORRAL_WORKER_PROCESSES": "1",
            "CORRAL_PARSER_PROCESSES": str(max(1, parsers)),
            "CORRAL_WORKER_METRICS_SOCKET": str(socket),
        }
        plans.append(Plan(number, ("-m", module, "--with-parent", *served), environment, socket))
    return plans


class _Answers:
    """What the supervisor says of its processes."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def routes(self) -> Routes:
        return {"/livez": self._livez, "/readyz": self._readyz, "/metrics": self._metrics}

    async def _livez(self) -> Answer:
        # One that has died is the supervisor's to mend; one that runs and is not well is not.
        found = await self._ask("/livez")
        running = [one.plan.number for one in self._supervisor.kept if one.process and one.process.returncode is None]
        return verdict([f"process {number} is not well" for number in running if not _ok(found.get(str(number)))])

    async def _readyz(self) -> Answer:
        found = await self._ask("/readyz")
        numbers = [str(one.plan.number) for one in self._supervisor.kept]
        return verdict([f"process {number} is not ready" for number in numbers if not _ok(found.get(number))])

    async def _metrics(self) -> Answer:
        pages = {number: answer.body.decode() for number, answer in (await self._ask("/metrics")).items()}
        restarts = [
            f'corral_worker_restarts_total{{process="{one.plan.number}"}} {one.restarts}'
            for one in self._supervisor.kept
        ]
        about = "# HELP corral_worker_restarts_total Processes started anew after they had died."
        own = "\n".join([about, "# TYPE corral_worker_restarts_total counter", *restarts, ""])
        return Answer(HTTPStatus.OK, CONTENT_TYPE_LATEST, merged(pages) + own.encode())

    async def _ask(self, path: str) -> dict[str, Answer]:
        kept = self._supervisor.kept
        answers = await asyncio.gather(*(fetch(one.plan.socket, path) for one in kept))
        return {str(one.plan.number): answer for one, answer in zip(kept, answers, strict=True) if answer}


def _ok(answer: Answer | None) -> bool:
    return answer is not None and answer.status is HTTPStatus.OK
