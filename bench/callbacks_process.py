"""The processes that ``bench callbacks`` puts together: worker, API, receiver, each as it is deployed."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from standardwebhooks.webhooks import Webhook

from bench.server import Server
from bench.subject import ROOT, SubjectFailedError
from corral.stack import free_port, new_secret

_START_S = 20.0
_STOP_S = 30.0


@dataclass(frozen=True)
class Fleet:
    """What the processes of a run have in common."""

    redis_url: str
    secret: str
    api_port: int
    folder: Path

    @classmethod
    def on(cls, server: Server, folder: Path) -> "Fleet":
        """Make a fleet on a server; files and logs go to ``folder``."""
        return cls(f"redis://127.0.0.1:{server.port}/0", new_secret(), free_port(), folder)

    @property
    def api_url(self) -> str:
        """Where the API answers, once it runs."""
        return f"http://127.0.0.1:{self.api_port}"

    @contextmanager
    def worker(self, *arguments: str) -> Iterator[int]:
        """Run one worker process for callbacks; give its id."""
        with self._process(*(arguments or ("worker", "--processes", "1", "callbacks"))) as process:
            yield process.pid

    @contextmanager
    def api(self) -> Iterator[None]:
        """Run the API, and give when it is ready."""
        with self._process("producers", "serve"):
            _answering(f"{self.api_url}/readyz")
            yield

    @contextmanager
    def receiver(self, port: int | None = None) -> Iterator["Receiver"]:
        """Run a receiver, and give when it listens."""
        port = port or free_port()
        with self._process("bench.subjects.callback_receiver", str(port)):
            receiver = Receiver(f"http://127.0.0.1:{port}", self.secret)
            _answering(receiver.url)
            yield receiver

    def floor(self, url: str, count: int, body: str) -> float:
        """Send as many callbacks by plain httpx; give the CPU time of one, in us."""
        command = [sys.executable, "-m", "bench.subjects.callbacks_httpx", url, str(count), self.secret, body]
        return float(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)

    @contextmanager
    def _process(self, module: str, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
        environment = {
            **os.environ,
            "CORRAL_REDIS_URL": self.redis_url,
            "CORRAL_CALLBACK_SECRET": self.secret,
            "CORRAL_ALLOW_LOOPBACK": "true",
            "CORRAL_DATA_FOLDER": str(self.folder),
            "CORRAL_API_PORT": str(self.api_port),
            "CORRAL_LOG_FORMAT": "json",
        }
        with (
            tempfile.TemporaryFile() as words,
            subprocess.Popen(
                [sys.executable, "-m", module, *arguments], cwd=ROOT, env=environment, stdout=words, stderr=words
            ) as process,
        ):
            try:
                yield process
                if process.poll() is not None:
                    words.seek(0)
                    raise SubjectFailedError(f"{module} has ended with {process.returncode}\n{words.read()[-2000:]!r}")
            finally:
                process.terminate()
                process.wait(_STOP_S)


@dataclass(frozen=True)
class Receiver:
    """A receiver that runs."""

    url: str
    secret: str

    def received(self) -> Mapping[str, Any]:
        """Give what came since the last call; the last callback's signature has been verified."""
        found: Mapping[str, Any] = httpx.get(f"{self.url}/figures", trust_env=False).json()
        if found["last"]:
            lines = found["last"]["head"].splitlines()[1:]
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            Webhook(self.secret).verify(found["last"]["body"], headers)
        return found


def cpu_s(process: int) -> float:
    """Give the CPU time of a process so far, in seconds."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def _answering(url: str) -> None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until:
        try:
            if httpx.get(url, trust_env=False).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise SubjectFailedError(f"{url} does not answer")
