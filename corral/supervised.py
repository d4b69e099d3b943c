"""A process of ours that is started anew, ever later, when it ends by itself."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable

from producers.child_process import bound_to_this_process
from producers.restart import RestartDelay

_STOP_S = 35.0


class SupervisedProcess:
    """Runs one of our modules for as long as it is wanted."""

    def __init__(
        self,
        name: str,
        arguments: list[str],
        environment: dict[str, str],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start it, bound to this process: it is killed when this process is."""
        self.name = name
        self._arguments = arguments
        self._environment = environment
        self._clock = clock
        self._delay = RestartDelay()
        self._process = self._start()
        self._due_at: float | None = None

    def _start(self) -> subprocess.Popen[bytes]:
        self._started_at = self._clock()
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
        now = self._clock()
        if self._due_at is None:
            wait_s = self._delay.after(now - self._started_at)
            self._due_at = now + wait_s
            return f"{self.name} ended with {self._process.returncode}; it starts again in {wait_s:g} s"
        if now < self._due_at:
            return None
        self._due_at = None
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
