"""The fleet of the soak: a server, the API, workers under a supervisor, and a worker that nobody kills."""

import json
import secrets
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.soak.kind import QUEUE
from tests.soak.order import TENANTS
from tests.soak.trouble import Server
from tests.support.api_process import ApiProcess, api_process
from tests.support.until import until_sync
from tests.support.worker_process import WorkerProcesses, worker_processes

QUEUES = (QUEUE, "callbacks", "documents")
_WORKER = "tests.soak.worker"
_STARTED_S = 90.0
_STOPPED_S = 60.0


@dataclass(frozen=True)
class Fleet:
    """What runs, and the tenants' tokens."""

    server: Server
    api: ApiProcess
    workers: WorkerProcesses
    supervisor: subprocess.Popen[bytes]
    spared: subprocess.Popen[bytes]
    tokens: dict[str, str]

    @property
    def lasting(self) -> dict[str, int]:
        """Name the processes that live from the beginning to the end."""
        return {"api": self.api.serving_pid, "supervisor": self.supervisor.pid, "worker": self.spared.pid}

    def stop(self) -> list[int]:
        """End the workers in order, and give the codes that they end with."""
        for process in self.workers.started:
            process.send_signal(signal.SIGTERM)
        return [process.wait(_STOPPED_S) for process in self.workers.started]


@contextmanager
def fleet(folder: Path, *, processes: int) -> Iterator[Fleet]:
    """Run a fleet whose whole state lies in ``folder``, with so many worker processes under its supervisor."""
    tokens = {tenant: secrets.token_hex(16) for tenant in TENANTS}
    server = Server(folder)
    try:
        with (
            api_process(server.url, folder, ("tests.soak.api",), api_tokens=json.dumps(tokens)) as api,
            worker_processes(server.url, folder) as workers,
        ):
            supervisor = workers.start(_WORKER, "--with-parent", worker_processes=processes, lock_s=10)
            spared = workers.start(_WORKER, "--with-parent", QUEUE, "callbacks", lock_s=10)
            until_sync(lambda: workers.said("worker.started") == processes + 1, within_s=_STARTED_S)
            yield Fleet(server, api, workers, supervisor, spared, tokens)
    finally:
        server.stop()
