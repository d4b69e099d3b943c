"""The API as a process of its own, without a worker, for what only a real server shows."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from corral.stack import free_port
from tests.support.child_process_ids import children
from tests.support.process_memory import memory_bytes
from tests.support.until import until_sync


@dataclass(frozen=True)
class ApiProcess:
    """A running API. ``log`` is the file that its standard error goes to."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def serving_pid(self) -> int:
        """The process that answers: granian's first one only looks after it."""
        return [self.process.pid, *children(self.process.pid)][-1]

    def memory_bytes(self, field: str = "VmRSS") -> int:
        """Give a figure of ``/proc/<pid>/status``: ``VmRSS`` is now, ``VmHWM`` the most there ever was."""
        return memory_bytes(self.serving_pid, field)


@contextmanager
def api_process(
    redis_url: str, data_folder: Path, module: Sequence[str] = ("producers", "serve"), **settings: str
) -> Iterator[ApiProcess]:
    """Run the API for the length of a ``with`` block; ``settings`` are ``CORRAL_`` variables."""
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CORRAL_")}
    environment |= {
        "CORRAL_REDIS_URL": redis_url,
        "CORRAL_DATA_FOLDER": str(data_folder),
        "CORRAL_API_PORT": str(port),
        "CORRAL_LOG_FORMAT": "json",
        **{f"CORRAL_{name.upper()}": value for name, value in settings.items()},
    }
    log = data_folder / "api.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", *module], env=environment, stderr=errors, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        until_sync(lambda: _answers(url), within_s=20)
        yield ApiProcess(url, process, log)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/livez", trust_env=False).is_success
    except httpx.TransportError:
        return False
