"""The embedded server's process: how it is started, awaited and ended.

It lives in a session of its own, dies with its owner, and holds the folder's lock until its last
byte is written.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from corral.valkey_answer import Answer, ask
from corral.valkey_folder import ValkeyFolder
from producers.child_process import Lifeline, bound_to_this_process
from schemas.errors import EngineUnavailable, Misconfigured

_STOP_WAIT_S = 10.0
_POLL_S = 0.01
_LOG_TAIL_LINES = 6


@dataclass(frozen=True)
class Patience:
    """Until when a start may take, on the monotonic clock."""

    deadline_s: float

    def pause(self, complaint: str, folder: ValkeyFolder) -> None:
        """Wait a moment.

        Raises:
            EngineUnavailable: the deadline has passed; the message is the complaint and the log's end.
        """
        if time.monotonic() > self.deadline_s:
            remedy = "stop it, or use another CORRAL_DATA_FOLDER"
            raise EngineUnavailable(f"{complaint}; {remedy}. Its log ends:\n{log_tail(folder)}")
        time.sleep(_POLL_S)


@contextmanager
def answering(command: list[str], folder: ValkeyFolder, lock: int, patience: Patience) -> Iterator[Answer]:
    """Run the server from its first answer to the end of the block, then stop it in order.

    Raises:
        Misconfigured: it cannot be run, or ends at its start; the message has the log's end.
        EngineUnavailable: it does not answer in time.
    """
    process = _spawn(command, folder, lock)
    try:
        lifeline = None if sys.platform == "linux" else Lifeline(process.pid, signal.SIGTERM)
        try:
            yield _first_answer(process, folder, patience)
        finally:
            if lifeline is not None:
                lifeline.cut()
    finally:
        _stop(process)


def log_tail(folder: ValkeyFolder) -> str:
    """Give the last lines that the server of this start has said."""
    with suppress(FileNotFoundError):
        return "\n".join(folder.log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:])
    return "(no log)"


def _spawn(command: list[str], folder: ValkeyFolder, lock: int) -> subprocess.Popen[bytes]:
    bound = bound_to_this_process(signal.SIGTERM) if sys.platform == "linux" else None
    try:
        with folder.log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - no shell, and the program is find_server's
                command,
                cwd=folder.root,
                env={},  # it needs nothing of ours, and our environment holds secrets
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                umask=0o077,
                # Ctrl-C reaches the terminal's whole foreground: the workers still need the server then.
                start_new_session=True,
                # Held by the server too: nobody else opens its files before its last byte is written.
                pass_fds=(lock,),
                preexec_fn=bound,  # noqa: PLW1509 - it makes system calls only, and loads nothing
            )
    except OSError as error:
        name = Path(command[0]).name
        raise Misconfigured(f"{name} cannot be run ({error.strerror}): install it anew") from error


def _first_answer(process: subprocess.Popen[bytes], folder: ValkeyFolder, patience: Patience) -> Answer:
    while process.poll() is None:
        socket = folder.running_socket()
        if socket is not None and (answer := ask(socket)) is not None:
            return answer
        patience.pause("the embedded valkey does not answer", folder)
    complaint = f"the embedded valkey ended with code {process.returncode} at its start"
    raise Misconfigured(f"{complaint}. Its log ends:\n{log_tail(folder)}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_WAIT_S)
    finally:
        # Also after a second Ctrl-C during the wait: an orphan would keep the folder locked.
        process.kill()
        process.wait()
