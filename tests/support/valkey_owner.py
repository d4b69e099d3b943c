"""An owner of an embedded Valkey that tests can start, signal and kill: a process of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

ROOT = Path(__file__).parents[2]

# Ends in order on SIGTERM, as the launcher does, and when the process that started it ends; says where its server is,
# then stays.
_PROGRAM = """
import dataclasses, json, signal, sys
from pathlib import Path
from corral.valkey import embedded_valkey
from schemas.errors import CorralError

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
signal.signal(signal.SIGINT, lambda *_: print("interrupted", flush=True))
try:
    with embedded_valkey(Path(sys.argv[1])) as server:
        print(json.dumps({**dataclasses.asdict(server), "url": server.url}, default=str), flush=True)
        sys.stdin.read()
except CorralError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


@dataclass(frozen=True)
class Owner:
    """A process in the ``with`` block of ``embedded_valkey``, and what it said of its server."""

    process: subprocess.Popen[str]
    url: str
    socket: Path
    pid: int
    attached: bool

    def said(self) -> str:
        """Wait for the next line that the owner writes."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self, number: signal.Signals) -> None:
        """Send the owner a signal and wait for its end."""
        self.process.send_signal(number)
        self.process.wait(timeout=20)

    def client(self) -> redis.Redis:
        """Connect to the server; a call that fails is not tried again."""
        return redis.Redis.from_url(self.url, decode_responses=True, retry=None)


@contextmanager
def owner(data_folder: Path) -> Iterator[Owner]:
    """Start an owner and give it once its server answers; whatever is left of it is killed at the end."""
    with start(data_folder) as process:
        try:
            yield ready(process)
        finally:
            process.kill()


def start(data_folder: Path) -> subprocess.Popen[str]:
    """Start an owner in a process group of its own, without waiting for its server."""
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(data_folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    )


def ready(process: subprocess.Popen[str]) -> Owner:
    """Wait until the owner says where its server is."""
    assert process.stdout is not None
    said = json.loads(process.stdout.readline())
    return Owner(process, said["url"], Path(said["socket"]), said["pid"], said["attached"])


def is_running(pid: int) -> bool:
    """Tell whether a process does anything yet; one that only waits to be reaped does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return _state(pid) not in {"", "Z"}


def _state(pid: int) -> str:
    """Give the first letter of a process's state, from the kernel where it shows it: ps may be missing."""
    if Path("/proc/self/stat").exists():
        try:
            # The name before it, in parentheses, may hold anything.
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return ""
    listed = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return listed.stdout[:1]
