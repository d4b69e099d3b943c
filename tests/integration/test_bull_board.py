"""The other dashboard, bull-board, shows Corral's queues as they are."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from bullmq import Queue
from redis.asyncio import Redis

from corral.valkey import ValkeyServer, embedded_valkey
from producers.engine.jobs import Engine
from schemas.job_spec import JobSpec
from tests.support.fleet import Fleet, Trial, Verdict, entry, succeed
from tests.support.until import until, until_sync

FOLDER = Path(__file__).parents[2] / "deploy" / "bull-board"

# In CI a missing Node is a defect of the machine, and the test says so by failing.
pytestmark = [
    pytest.mark.skipif(
        shutil.which("npm") is None and "CI" not in os.environ, reason="bull-board needs Node 20 and npm"
    ),
    pytest.mark.timeout(120),  # npm fetches 90 packages the first time
]


@dataclass(frozen=True)
class Board:
    """A running bull-board: a client of its page, its process and its server."""

    client: httpx.Client
    process: subprocess.Popen[bytes]
    server: ValkeyServer


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """bull-board with its packages, outside of the repository."""
    folder = tmp_path_factory.mktemp("bull-board")
    for name in ("package.json", "package-lock.json", "server.js"):
        shutil.copy(FOLDER / name, folder)
    command = ["npm", "ci", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def board(installed: Path, tmp_path: Path) -> Iterator[Board]:
    """bull-board in front of an embedded server, as compose starts it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with embedded_valkey(tmp_path) as server:
        environment = {
            **os.environ,
            "CORRAL_REDIS_URL": server.url,
            "BULL_BOARD_QUEUES": "documents, imports",
            "BULL_BOARD_PORT": str(port),
        }
        with (
            subprocess.Popen(["node", "server.js"], cwd=installed, env=environment) as process,
            httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
        ):
            try:
                until_sync(lambda: is_live(client), within_s=20)
                yield Board(client, process, server)
            finally:
                process.kill()


def is_live(client: httpx.Client) -> bool:
    """Tell whether the page's process answers."""
    try:
        return client.get("/livez").is_success
    except httpx.TransportError:
        return False


async def test_bull_board_serves_its_page_and_counts_a_corral_job(board: Board) -> None:
    """A job that Python has added is there to be seen in the page's own data."""
    async with Redis.from_url(board.server.url, decode_responses=True) as connection:
        queue = Queue("documents", {"connection": connection})
        await queue.add("documents.convert", {"v": 1})
        page = board.client.get("/")
        assert page.headers["content-type"].startswith("text/html")
        assert "Corral" in page.text
        shown = {one["name"]: one["counts"] for one in board.client.get("/api/queues").json()["queues"]}
        assert set(shown) == {"documents", "imports"}
        assert shown["documents"]["waiting"] == 1
        await queue.close()


async def test_bull_board_refuses_what_a_foreign_page_sends(board: Board) -> None:
    """It has no login: another site's page can neither read it by a name of its own nor press its buttons."""
    assert board.client.get("/api/queues", headers={"host": "evil.example"}).status_code == 403
    pressed = board.client.put("/api/queues/documents/pause", headers={"sec-fetch-site": "cross-site"})
    assert pressed.status_code == 403
    assert board.client.put("/api/queues/documents/pause").is_success


async def test_bull_board_ends_at_once_when_it_is_asked_to(board: Board) -> None:
    """SIGTERM ends it in order, also with open connections."""
    board.process.send_signal(signal.SIGTERM)
    assert board.process.wait(timeout=5) == 0


async def test_bull_board_shows_our_workers(board: Board) -> None:
    """By the names of their connections, and each job by whom it was done."""
    async with Redis.from_url(board.server.url, decode_responses=True) as redis:
        fleet = Fleet(redis, Engine(redis, prefix="bull", keep_finished_s=3600))
        done = JobSpec(kind="imports.run", payload=Trial, result=Verdict)
        async with fleet.worker(entry(succeed, done)):
            job_id = await fleet.add(done, Trial())
            await until(lambda: redis.zscore("bull:imports:completed", job_id))
            shown = board.client.get("/api/queues/imports/workers").json()
            assert [one["name"] for one in shown["workers"]] == ["test"]
        job = board.client.get(f"/api/queues/imports/{job_id}").json()
        assert job["job"]["processedBy"] == "test"
