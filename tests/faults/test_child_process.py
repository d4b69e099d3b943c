"""A process that is bound to its parent ends with it; one that was bound too late ends at once."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from producers.child_process import Lifeline, bound_to_this_process
from tests.support.until import until_sync
from tests.support.valkey_owner import is_running

ROOT = Path(__file__).parents[2]
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's way exists on Linux alone")

SAYS_ITS_PID = "print(os.getpid(), flush=True); signal.pause()"


def python(program: str) -> list[str]:
    """Give the command line of a Python program that has the usual imports."""
    imports = "import os, signal, subprocess, sys, threading; from producers import child_process"
    return [sys.executable, "-c", f"{imports}\n{program}"]


def child_of_a_killed_parent(program: str) -> int:
    """Run a program as the child of a process, kill that process, and give the child's id."""
    starts = f"subprocess.run({python(program)!r})"
    with subprocess.Popen(python(starts), stdout=subprocess.PIPE, text=True, cwd=ROOT) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_running(pid)
        parent.kill()
    return pid


@LINUX
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_process_that_asked_for_it_dies_with_its_parent(number: signal.Signals) -> None:
    """The call about oneself holds for the process's whole life, whatever kills the parent."""
    asks = f"child_process.die_with_parent(signal.{number.name}, parent_pid=os.getppid())"
    pid = child_of_a_killed_parent(f"{asks}\n{SAYS_ITS_PID}")
    until_sync(lambda: not is_running(pid), within_s=5)


def test_a_process_without_the_kernels_help_watches_its_parent() -> None:
    """On macOS a thread looks who the parent is; here the same code runs on any system."""
    watch = "args=(signal.SIGTERM, os.getppid()), daemon=True"
    pid = child_of_a_killed_parent(
        f"threading.Thread(target=child_process._watch_parent, {watch}).start()\n{SAYS_ITS_PID}"
    )
    until_sync(lambda: not is_running(pid), within_s=5)


def test_a_process_whose_parent_is_gone_already_ends_at_once() -> None:
    """A parent that died before the call is noticed: no signal would ever come from it."""
    program = "child_process.die_with_parent(signal.SIGKILL, parent_pid=os.getpid())\nprint('still here')"
    done = subprocess.run(python(program), capture_output=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, b"")


@LINUX
def test_a_foreign_program_is_bound_without_its_knowledge() -> None:
    """What ``bound_to_this_process`` sets outlasts ``exec``: any program dies with its starter."""
    program = (
        "bound = child_process.bound_to_this_process(signal.SIGTERM)\n"
        "print(subprocess.Popen(['sleep', '60'], preexec_fn=bound).pid, flush=True); signal.pause()"
    )
    with subprocess.Popen(python(program), stdout=subprocess.PIPE, text=True, cwd=ROOT) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_running(pid)
        parent.kill()
    until_sync(lambda: not is_running(pid), within_s=5)


@LINUX
def test_a_bound_program_hears_the_signal_that_its_starter_ignores() -> None:
    """A starter that ignores SIGTERM must not pass that deafness on."""
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        bound = bound_to_this_process(signal.SIGTERM)
        with subprocess.Popen(["sleep", "60"], preexec_fn=bound) as child:  # noqa: PLW1509 - it is what we test
            child.terminate()
            assert child.wait(timeout=5) == -signal.SIGTERM
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_lifeline_ends_a_program_when_its_keeper_is_killed() -> None:
    """Where the kernel offers nothing, as on macOS, a watcher does the same for a foreign program."""
    program = "child_process.Lifeline(int(sys.argv[1]), signal.SIGTERM); print('tied', flush=True); signal.pause()"
    with subprocess.Popen(["sleep", "60"]) as watched:
        command = [*python(program), str(watched.pid)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as keeper:
            assert keeper.stdout is not None
            assert keeper.stdout.readline() == b"tied\n"
            keeper.kill()
        assert watched.wait(timeout=5) == -signal.SIGTERM


def test_a_lifeline_that_is_cut_harms_nobody() -> None:
    """An orderly stop sends no signal to a number that may belong to somebody else by then."""
    with subprocess.Popen(["sleep", "60"]) as watched:
        Lifeline(watched.pid, signal.SIGTERM).cut()
        assert watched.poll() is None
        os.kill(watched.pid, signal.SIGKILL)
