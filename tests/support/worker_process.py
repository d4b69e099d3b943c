"""Workers as processes of their own, that tests start, signal and kill."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from corral.stack import new_secret

ROOT = Path(__file__).parents[2]


@dataclass
class WorkerProcesses:
    """Starts workers for one server; all are killed in the end."""

    url: str
    folder: Path
    secret: str = field(default_factory=new_secret)
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(
        self, module: str = "tests.support.faulty_worker", *arguments: str, **settings: object
    ) -> subprocess.Popen[bytes]:
        """Start one; ``settings`` are CORRAL_ variables in lower case."""
        given = {
            "redis_url": self.url,
            "data_folder": self.folder,
            "callback_secret": self.secret,
            "allow_loopback": "true",
            "lock_s": 2,
            "log_format": "json",
            "parser_processes": 1,
            "worker_processes": 1,
            **settings,
        }
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                cwd=ROOT,
                env={**os.environ, **{f"CORRAL_{name.upper()}": str(value) for name, value in given.items()}},
                stderr=log,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    @property
    def log(self) -> Path:
        """What all of them say."""
        return self.folder / "workers.log"

    def said(self, event: str) -> int:
        """Count the lines of an event."""
        return self.log.read_text().count(f'"event":"{event}"') if self.log.exists() else 0


@contextmanager
def worker_processes(url: str, folder: Path) -> Iterator[WorkerProcesses]:
    """Give what starts workers, and kill at the end what still runs."""
    workers = WorkerProcesses(url, folder)
    try:
        yield workers
    finally:
        for process in workers.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
