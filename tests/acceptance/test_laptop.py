"""`corral demo` and `corral dev`, as `make demo` and `make dev` run them."""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from corral.stack import free_port
from corral.valkey import ValkeyServer
from tests.support.child_process_ids import alive, descendants
from tests.support.command import ROOT, corral
from tests.support.until import until


@asynccontextmanager
async def dev(data_folder: Path, port: int, **environment: str) -> AsyncIterator[Process]:
    """Run `corral dev` until the block ends, in a session of its own like a terminal's."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "corral", "dev", "--data", str(data_folder), "--port", str(port)),
        cwd=ROOT,
        env={**os.environ, "CORRAL_LOG_FORMAT": "json", **environment},
        stdout=PIPE,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def first_lines(process: Process) -> str:
    """Read what `corral dev` says until it is up."""
    assert process.stdout is not None
    said = await process.stdout.readuntil(b"nothing is lost.\n")
    return said.decode()


async def test_the_demo_succeeds_and_shows_what_happened(tmp_path: Path) -> None:
    """Exit 0; each document is accepted and ends as it must; every callback's signature is verified."""
    ended = await corral("demo", "--data", str(tmp_path))
    assert ended.code == 0, ended.out + ended.err
    for name in ("report.pdf", "scan.pdf", "letter.docx", "page.html", "broken.pdf"):
        for what in ("accepted", "callback"):
            assert any(name in line and what in line for line in ended.out.splitlines()), (name, what)
    assert ended.out.count("signature verified") == 5
    assert "failed    document_unreadable" in ended.out
    results = tmp_path / "demo" / "results"
    assert "| Quarter" in (results / "report.md").read_text()
    assert (results / "scan.md").read_text().strip()


async def test_dev_stays_up_until_ctrl_c_and_leaves_no_process(tmp_path: Path) -> None:
    """It says where the API is; Ctrl-C in its terminal ends everything in order, with exit code 0."""
    port = free_port()
    async with dev(tmp_path, port) as process:
        assert f"http://127.0.0.1:{port}" in await first_lines(process)
        family = descendants(process.pid)
        assert len(family) >= 3
        os.killpg(process.pid, signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 30) == 0
    await until(lambda: not any(map(alive, family)), within_s=5)


async def test_dev_starts_a_worker_that_died_anew(tmp_path: Path) -> None:
    """A crash of the worker is mended, and the API never noticed."""
    port = free_port()
    async with dev(tmp_path, port) as process:
        await first_lines(process)
        worker = worker_pid(process.pid)
        assert worker is not None
        os.kill(worker, signal.SIGKILL)
        await until(lambda: worker_pid(process.pid) not in {None, worker}, within_s=20)
        async with httpx.AsyncClient(trust_env=False) as http:
            assert (await http.get(f"http://127.0.0.1:{port}/readyz")).is_success
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 30) == 0


def worker_pid(owner: int) -> int | None:
    """Find the worker among the children of `corral dev`."""
    for pid in descendants(owner):
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") if Path(f"/proc/{pid}").exists() else []
        if arguments[1:3] == [b"-m", b"worker"]:
            return pid
    return None


async def test_dev_names_a_port_that_is_taken(tmp_path: Path) -> None:
    """One line with the remedy, before anything is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = await corral("dev", "--data", str(tmp_path), "--port", str(port))
    assert ended.code == 1
    assert f"port {port} is taken" in ended.err
    assert not list(tmp_path.iterdir())  # noqa: ASYNC240 - a look


async def test_dev_on_a_server_of_ones_own_makes_its_folder(tmp_path: Path, valkey: ValkeyServer) -> None:
    """There is no embedded server then, and the secrets and files still need a place; a password is not shown."""
    secret = valkey.url.replace("unix://", "unix://default:hunter2@")
    async with dev(tmp_path / "new" / "folder", free_port(), CORRAL_REDIS_URL=secret) as process:
        assert f"server     {secret.replace('default:hunter2', '[redacted]')}" in await first_lines(process)
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 30) == 0
    assert not (tmp_path / "new" / "folder" / "valkey").exists()


@pytest.mark.parametrize("address", ["redis://:hunter2@127.0.0.1:1", "redis://hunter2:abc", "unix:///nowhere/hunter2"])
async def test_a_server_of_ones_own_that_does_not_answer_is_named_at_once(tmp_path: Path, address: str) -> None:
    """One line with the remedy, and without the address, which may hold a password."""
    ended = await corral("dev", "--data", str(tmp_path), "--port", str(free_port()), CORRAL_REDIS_URL=address)
    assert ended.code == 1
    assert ended.err.startswith("Error: misconfigured: no server answers at CORRAL_REDIS_URL")
    assert len(ended.err.splitlines()) == 1
    assert "hunter2" not in ended.err + ended.out


@pytest.mark.parametrize("own_server", [{}, {"CORRAL_REDIS_URL": "redis://127.0.0.1:1"}], ids=["embedded", "own"])
@pytest.mark.parametrize("command", ["dev", "demo"])
async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, command: str, own_server: dict[str, str]) -> None:
    """One line with the remedy."""
    file = tmp_path / "file"
    file.touch()
    ended = await corral(command, "--data", str(file / "data"), CORRAL_API_PORT=str(free_port()), **own_server)
    assert ended.code == 1
    assert "cannot be written" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("wrong", ["CORRAL_LOG_LEVEL", "CORRAL_LOCK_S"])
async def test_dev_names_a_setting_that_is_wrong(tmp_path: Path, wrong: str) -> None:
    """The process that cannot read it says its name, and dev ends instead of trying for ever."""
    ended = await corral("dev", "--data", str(tmp_path), "--port", str(free_port()), **{wrong: "nonsense"})
    assert ended.code == 1
    assert wrong in ended.err
