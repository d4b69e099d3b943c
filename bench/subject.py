"""What is measured: which program, in which environment; and one run of one program."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from redis import Redis

from bench.subjects.harness import Config

ROOT = Path(__file__).parents[1]
PEERS = ROOT / ".venv-bench"
NODE = ROOT / "bench" / "node"
_LIMIT_S = 120


@dataclass(frozen=True)
class Subject:
    """A program to measure. ``share`` of the jobs are enough for a slow one."""

    name: str
    title: str
    runner: str = "corral"
    share: float = 1.0

    def command(self, task: str, config: Config) -> list[str]:
        """Give the command line for a task."""
        if self.runner == "node":
            program = ["node", str(ROOT / "bench" / "subjects" / f"{self.name}.mjs")]
        else:
            python = sys.executable if self.runner == "corral" else str(PEERS / self.runner / "bin" / "python")
            program = [python, "-m", f"bench.subjects.{self.name}"]
        return [*program, task, json.dumps(asdict(config))]


CORRAL_FULL = Subject("corral_full", "Corral, full path")
CORRAL_ENGINE = Subject("corral_engine", "Corral, engine alone")
CORRAL_KEYED = Subject("corral_keyed", "Corral, with an idempotency key", share=0.5)
CORRAL_CALLBACK = Subject("corral_callback", "Corral, with a callback", share=0.5)
CORRAL_WORKER = Subject("corral_worker", "Corral, its worker process")
PIPELINING = Subject("bullmq_pipelining", "bullmq-py on Corral's connection")
STOCK = Subject("bullmq_py", "bullmq-py + uvloop", share=0.5)
NODE_BULLMQ = Subject("bullmq_node", "bullmq Node", runner="node")
PEERS_IN_PYTHON = [
    Subject("saq", "saq", runner="peers", share=0.4),
    Subject("taskiq", "taskiq, stream", runner="taskiq", share=0.4),
    Subject("dramatiq", "dramatiq", runner="peers", share=0.4),
    Subject("celery", "celery, threads", runner="peers", share=0.2),
    Subject("arq", "arq", runner="peers", share=0.1),
    Subject("rq", "rq, SimpleWorker", runner="peers", share=0.1),
]
BULLMQ = [CORRAL_FULL, CORRAL_ENGINE, PIPELINING, STOCK, NODE_BULLMQ]
ALL = [*BULLMQ, *PEERS_IN_PYTHON]


class SubjectFailedError(Exception):
    """A measured program ended without figures. Its last words are in the message."""


def spend(subject: Subject, task: str, config: Config) -> None:
    """Run a task to its end, for what it leaves in the server."""
    for _ in measure(subject, task, config):
        pass


def measure(subject: Subject, task: str, config: Config) -> Iterator[Mapping[str, Any]]:
    """Run a task and give each set of figures; ``server_cpu_us`` is the server's share per job.

    Raises:
        SubjectFailedError: the program failed or took too long.
    """
    with tempfile.TemporaryFile("w+") as words, Redis(port=config.port) as server:
        command = ["timeout", str(_LIMIT_S), *subject.command(task, config)]
        used_us, is_silent = _used_us(server), task in {"work", "enqueue"}
        with subprocess.Popen(command, cwd=ROOT, env=_environment(), stdout=subprocess.PIPE, stderr=words) as process:
            if process.stdout is None:
                raise SubjectFailedError("no pipe")
            for line in process.stdout:
                if not line.startswith(b'{"event"'):
                    continue
                figures, is_silent = json.loads(line), False
                if figures["event"] == "end":
                    yield {**figures, "server_cpu_us": (_used_us(server) - used_us) / config.jobs}
                used_us = _used_us(server)
        if process.returncode != 0 or is_silent:
            words.seek(0)
            raise SubjectFailedError(f"{subject.title}, {task}: exit {process.returncode}\n{words.read()[-2000:]}")


@contextmanager
def staying(subject: Subject, config: Config) -> Iterator[int]:
    """Keep a worker for the length of a block, and give the id of its process."""
    command = subject.command("stay", config)
    with subprocess.Popen(
        command, cwd=ROOT, env=_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield process.pid
        finally:
            process.kill()


def _environment() -> dict[str, str]:
    return {**os.environ, "BENCH_NODE_FOLDER": str(NODE)}


def _used_us(server: "Redis") -> float:
    used = server.info("cpu")
    return float(used["used_cpu_user"] + used["used_cpu_sys"]) * 1e6
