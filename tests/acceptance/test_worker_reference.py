"""docs/reference/worker.md: its commands run, and its tables say what the code does."""

import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from corral.cli import main
from corral.stack import Stack, free_port, running
from corral.valkey import ValkeyServer
from schemas.settings import PREFIX
from tests.support.child_process_ids import descendants
from tests.support.until import until_sync
from tests.support.worker_process import worker_processes
from worker import exit_code
from worker.consumer import BLOCK_S
from worker.settings import WorkerSettings
from worker.watchdog import LIMIT_S

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "worker.md").read_text()
STARTING, STEERING = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def steered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack for these tests alone: a queue left paused or a worker left small would fail every other test."""
    with running(tmp_path_factory.mktemp("steered"), api_port=free_port()) as started:
        yield started


def test_the_pages_steering_commands_work(steered: Stack) -> None:
    """As they stand there, in their order."""
    runner = CliRunner(env={"CORRAL_API_URL": steered.api_url})
    for command in STEERING.splitlines():
        done = runner.invoke(main, command.split()[1:])
        assert done.exit_code == 0, done.output


def test_a_worker_of_the_stack_can_be_drained_and_resized(steered: Stack) -> None:
    """By the id that the list shows."""
    runner = CliRunner(env={"CORRAL_API_URL": steered.api_url})

    def listed() -> list[str]:
        return runner.invoke(main, ["worker", "list"]).output.splitlines()

    (line,) = until_sync(listed, within_s=20)
    worker_id = line.split()[0]
    for arguments in (["drain"], ["resume"], ["resize", "documents", "2"]):
        verb, *rest = arguments
        done = runner.invoke(main, ["worker", verb, worker_id, *rest])
        assert done.exit_code == 0, done.output
    until_sync(lambda: "documents=0/2" in listed()[0])


@pytest.mark.parametrize("command", STARTING.splitlines())
def test_the_pages_workers_start_and_stop(valkey: ValkeyServer, tmp_path: Path, command: str) -> None:
    """As many processes as it says, and 0 after SIGTERM."""
    setting, _, arguments = command.partition("#")[0].strip().rpartition("python -m worker")
    environment = dict(pair.split("=") for pair in setting.split())
    given = {name.removeprefix(PREFIX).lower(): value for name, value in environment.items()}
    given = {name: str(free_port()) if name.endswith("port") else value for name, value in given.items()}
    with worker_processes(valkey.url, tmp_path) as workers:
        # The fixture's own setting stands for the machine's cores.
        process = workers.start("worker", *arguments.split(), worker_processes=2, **given)
        count = 1 if "--processes 1" in arguments else 2
        until_sync(lambda: workers.said("worker.started") == count, within_s=20)
        assert len(_workers(process)) == count
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == exit_code.STOPPED


def test_the_table_of_exit_codes_is_the_codes() -> None:
    """Three, with the meanings that the code gives them."""
    rows = dict(re.findall(r"^\| (\d) \| ([a-z]+)", PAGE, re.MULTILINE))
    codes = {exit_code.STOPPED: "stopped", exit_code.START_ANEW: "it", exit_code.MISCONFIGURED: "misconfigured"}
    assert {int(code): word for code, word in rows.items()} == codes


def test_every_setting_on_the_page_exists() -> None:
    """And the figures of the watchdog are those of the code."""
    fields = {f"{PREFIX}{name.upper()}" for name in WorkerSettings.model_fields}
    assert set(re.findall(r"CORRAL_[A-Z_]+", PAGE)) - fields == {"CORRAL_API_OPERATOR"}
    assert f"A blocking read lasts {BLOCK_S:g} s. When one has not returned within {LIMIT_S:g} s" in PAGE


def _workers(process: "subprocess.Popen[bytes]") -> set[int]:
    family = descendants(process.pid) or {process.pid}
    found = set()
    for pid in {*family, process.pid}:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if arguments[1:3] == [b"-m", b"worker"] and (b"--with-parent" in arguments or len(family) == 1):
            found.add(pid)
    return found or {process.pid}
