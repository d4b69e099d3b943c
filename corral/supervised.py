"""A process of ours that is started anew, ever later, when it ends by itself."""

import signal
import subprocess
import sys
import time

from producers.child_process import bound_to_this_process

_STOP_S = 35.0
_FIRST_RESTART_S, _LAST_RESTART_S = 0.5, 30.0


class SupervisedProcess:
    """Runs one of our modules for as long as it is wanted."""

    def __init__(self, name: str, arguments: list[str], environment: dict[str, str]) -> None:
        """Start it, bound to this process: it is killed when this process is."""
        self.name = name
        self._arguments = arguments
        self._environment = environment
        self._restart_s = _FIRST_RESTART_S
        self._process = self._start()
        self._ended_at: float | None = None

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - our own modules
            [sys.executable, *self._arguments],
            env=self._environment,
            # A session of its own, so that Ctrl-C reaches us alone and we end things in order.
            start_new_session=True,
            preexec_fn=bound_to_this_process(signal.SIGKILL) if sys.platform == "linux" else None,  # noqa: PLW1509
        )

    @property
    def pid(self) -> int:
        """The process that runs now."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.poll()

    def mend(self) -> str | None:
        """Start it anew when its time has come; tell what was noticed."""
        if self._process.poll() is None:
            return None
        now = time.monotonic()
        if self._ended_at is None:
            self._ended_at = now
            return f"{self.name} ended with {self._process.returncode}; it starts again in {self._restart_s:g} s"
        if now - self._ended_at < self._restart_s:
            return None
        self._restart_s, self._ended_at = min(self._restart_s * 2, _LAST_RESTART_S), None
        self._process = self._start()
        return f"{self.name} started again (pid {self.pid})"

    def stop(self) -> None:
        """End it in good order, or by force when it takes too long."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
