"""Processes bound to their parent's life: a parent that is killed leaves nothing behind.

Linux does it in the kernel (``PR_SET_PDEATHSIG``). macOS has nothing of the kind: there a process
watches its own parent's id, and a foreign program gets a watcher that waits for a pipe to close.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import cache, partial

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_WATCH_INTERVAL_S = 0.5


def die_with_parent(number: signal.Signals, *, parent_pid: int | None = None) -> None:
    """Have the calling process get ``number`` as soon as its parent ends, however it ends.

    Safe to repeat; the last signal counts. It outlasts ``exec``, but not a change of user, and a
    child does not inherit it. On Linux "parent" is the thread that started the process: start it on
    a thread that lives as long as the parent does.

    ``parent_pid`` is who the parent was when the process was started. Without it a parent that died
    before this call cannot be told from one that lives on.
    """
    expected = os.getppid() if parent_pid is None else parent_pid
    if sys.platform == "linux":
        _ask_the_kernel(number)
    else:
        watch = threading.Thread(target=_watch_parent, args=(number, expected), name="parent-watch", daemon=True)
        watch.start()
    # The parent may have ended before the kernel knew of our wish: then no signal will ever come.
    if os.getppid() != expected:
        os.kill(os.getpid(), number)


def bound_to_this_process(number: signal.Signals) -> Callable[[], None]:
    """Give the ``preexec_fn`` that binds a new child, of any program, to the calling process.

    Linux only: on macOS nothing outlasts ``exec``; a Python child calls ``die_with_parent`` about
    itself there, and a foreign program gets a ``Lifeline``.
    """
    _libc()  # between fork and exec nothing may be loaded: another thread may hold the loader's lock
    return partial(_bind, number, os.getpid())


class Lifeline:
    """A watcher process that sends ``number`` to ``pid`` once the calling process is gone.

    It waits for the end of a pipe that only the caller holds open. ``cut`` it before the watched
    process is reaped, or its id might belong to somebody else by then.
    """

    def __init__(self, pid: int, number: signal.Signals) -> None:
        """Start the watcher, in a session of its own so that Ctrl-C does not end it first."""
        script = f'read -r _; kill -{int(number)} "$1"'
        self._watcher = subprocess.Popen(  # noqa: S603 - a fixed script and a number
            ["/bin/sh", "-c", script, "corral-lifeline", str(pid)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def cut(self) -> None:
        """End the watcher without sending anything; safe to repeat."""
        self._watcher.kill()
        self._watcher.wait()
        if self._watcher.stdin is not None:
            self._watcher.stdin.close()


def _bind(number: signal.Signals, parent_pid: int) -> None:
    # The parent's own handler or mask would swallow a signal that arrives before exec.
    if number is not signal.SIGKILL:  # which nobody can handle
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    die_with_parent(number, parent_pid=parent_pid)


def _ask_the_kernel(number: signal.Signals) -> None:
    if _libc().prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "the kernel refused PR_SET_PDEATHSIG")


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _watch_parent(number: signal.Signals, parent_pid: int) -> None:
    while os.getppid() == parent_pid:
        time.sleep(_WATCH_INTERVAL_S)
    os.kill(os.getpid(), number)
