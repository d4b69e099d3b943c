"""`corral dev` is killed: nothing of it stays, and the next start has lost nothing."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import httpx
import pytest

from corral.stack import free_port
from producers.client import Corral
from schemas.job_status import JobState
from schemas.jobs.documents import ConvertDocument, FileSource
from tests.support.until import until

ROOT = Path(__file__).parents[2]
SAMPLE = Path(str(files("corral") / "samples" / "report.pdf"))

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(sys.platform != "linux", reason="the tree of processes is read from /proc"),
]


@contextmanager
def dev(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run `corral dev` on a folder; give its process and the API's address."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "corral", "dev"],
        cwd=ROOT,
        env={**os.environ, "CORRAL_DATA_FOLDER": str(folder), "CORRAL_API_PORT": str(port), "CORRAL_LOCK_S": "2"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=60)


def descendants(pid: int) -> set[int]:
    """Give every process below one, as /proc knows them."""
    below: set[int] = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            below |= {child} | descendants(child)
    return below


def running(pids: set[int]) -> set[int]:
    """Give those that still do something; one that only waits to be reaped does not."""
    return {pid for pid in pids if _state(pid) not in {"", "Z", "X"}}


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


async def ready(url: str) -> bool:
    """Tell whether the API can take jobs."""
    async with httpx.AsyncClient(trust_env=False) as client:
        try:
            return (await client.get(f"{url}/readyz")).is_success
        except httpx.TransportError:
            return False


async def test_a_killed_stack_leaves_no_process_and_the_next_one_loses_nothing(tmp_path: Path) -> None:
    """The API's processes, the worker, the parser's children and Valkey die with it; every job is done by the next."""
    folder = tmp_path / "data"
    with dev(folder) as (process, url):
        async with Corral(url) as corral:
            await until(lambda: ready(url), within_s=60)
            source = await corral.upload(SAMPLE)
            payload = ConvertDocument(source=FileSource(file=source.ref))
            jobs = [await corral.enqueue("documents.convert", payload) for _ in range(8)]
            await corral.wait(jobs[0])
        tree = descendants(process.pid)
        assert len(tree) >= 5
        process.send_signal(signal.SIGKILL)
        await until(lambda: not running(tree), within_s=15)
    with dev(folder) as (_, url):
        async with Corral(url) as corral:
            await until(lambda: ready(url), within_s=60)
            for job_id in jobs:
                assert (await corral.wait(job_id)).state is JobState.COMPLETED
