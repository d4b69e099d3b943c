"""A fork server of our own: clean environment, libraries loaded, nothing of the worker's in it.

The standard library's has one server per process, which inherits the worker's environment with its
secrets, finds modules only from the working folder, swallows a preload that fails, and has every
child import the worker's main module again.
"""

import io
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from multiprocessing import forkserver, popen_forkserver, reduction, resource_tracker, spawn, util
from multiprocessing.context import ForkServerContext, set_spawning_popen
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

_KEPT = ("LD_LIBRARY_PATH", "TESSDATA_PREFIX", "TZ")
_ENVIRONMENT = {
    "LANG": "C.UTF-8",
    # One thread per child: the fleet's parallelism is its children.
    "OMP_NUM_THREADS": "1",
    "OMP_THREAD_LIMIT": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # An arena per thread would eat the address space that RLIMIT_AS counts.
    "MALLOC_ARENA_MAX": "2",
    # Models are inside the wheels; nothing may be fetched.
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    # onnxruntime 1.29 and later report to Microsoft unless this is set before they load.
    "ORT_DISABLE_TELEMETRY": "1",
}
_SERVE = (
    "import sys; sys.path[:] = {path!r}; import {preload}; "
    "from multiprocessing.forkserver import main; main({listener}, {alive}, [])"
)


class ForkServer(forkserver.ForkServer):
    """Starts when the first child is wanted, and anew when it has died."""

    # Of the base class, which typeshed does not describe.
    _lock: threading.Lock
    _forkserver_alive_fd: int | None
    _forkserver_address: str | None

    def __init__(self, preload: str, folder: Path) -> None:
        """``preload`` is the module to load; the server's socket lies in ``folder``."""
        super().__init__()
        self._preload = preload
        self._socket = folder / "server"
        self._process: subprocess.Popen[bytes] | None = None

    def ensure_running(self) -> None:
        """Start the server unless it runs; its children's requests wait until it has loaded."""
        with self._lock:
            resource_tracker.ensure_running()
            if self._process is not None and self._process.poll() is None:
                return
            self._drop()
            self._socket.unlink(missing_ok=True)
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(self._socket))
                self._socket.chmod(0o600)
                listener.listen()
                self._start(listener)

    def close(self) -> None:
        """Let the server end: it does when no child is left, and children die with it."""
        with self._lock:
            self._drop()
            if self._process is not None:
                self._process.wait()

    def _start(self, listener: socket.socket) -> None:
        alive, self._forkserver_alive_fd = os.pipe()
        self._forkserver_address = str(self._socket)
        path = [str(Path(entry or ".").absolute()) for entry in sys.path]
        code = _SERVE.format(path=path, preload=self._preload, listener=listener.fileno(), alive=alive)
        flags = util._args_from_interpreter_flags()  # type: ignore[attr-defined]  # noqa: SLF001
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, and no shell
                [sys.executable, *flags, "-c", code],
                env=_environment(os.environ),
                pass_fds=(listener.fileno(), alive),
                stdin=subprocess.DEVNULL,
                # Ctrl-C reaches the terminal's whole foreground: whoever has the server ends it in order.
                process_group=0,
            )
        finally:
            os.close(alive)

    def _drop(self) -> None:
        if self._forkserver_alive_fd is not None:
            os.close(self._forkserver_alive_fd)
            self._forkserver_alive_fd = None


class ForkServerChildren(ForkServerContext):
    """The multiprocessing context that pebble starts its children with."""

    def __init__(self, server: ForkServer) -> None:
        """Keep the server; it belongs to the caller."""
        super().__init__()
        self._server = server

    def Process(self, **settings: Any) -> "ChildProcess":  # type: ignore[override]  # noqa: ANN401, N802
        """Make a process that the server will fork."""
        return ChildProcess(self._server, **settings)


class ChildProcess(BaseProcess):
    """A child of the fork server."""

    _start_method = "forkserver"

    def __init__(self, server: ForkServer, **settings: Any) -> None:  # noqa: ANN401 - as the base class takes them
        """Prepare the process; ``start`` has it forked."""
        super().__init__(**settings)
        self._server: ForkServer | None = server

    def __getstate__(self) -> dict[str, object]:
        """Leave the server behind: the child needs none."""
        return self.__dict__ | {"_server": None}

    def _Popen(self, process: "ChildProcess") -> "_Popen":  # noqa: N802 - the base class' name for it
        if self._server is None:
            raise RuntimeError("a child starts no children")
        return _Popen(process, self._server)


class _Popen(popen_forkserver.Popen):
    _fds: list[int]  # of the base class, which typeshed does not describe

    def __init__(self, process: ChildProcess, server: ForkServer) -> None:
        self._server = server
        super().__init__(process)

    def _launch(self, process: ChildProcess) -> None:
        # As the base class does it, but for the server and for the worker's main module, which a
        # child has no use for.
        preparation = spawn.get_preparation_data(process.name)
        preparation.pop("init_main_from_path", None)
        preparation.pop("init_main_from_name", None)
        buffer = io.BytesIO()
        set_spawning_popen(self)
        try:
            reduction.dump(preparation, buffer)
            reduction.dump(process, buffer)
        finally:
            set_spawning_popen(None)
        self.sentinel, write_end = self._server.connect_to_new_process(self._fds)
        # The child takes the end of this duplicate for the end of its parent.
        duplicate = os.dup(write_end)
        self.finalizer = util.Finalize(self, _close, (duplicate, self.sentinel))
        with open(write_end, "wb", closefd=True) as pipe:  # noqa: PTH123 - a descriptor, no path
            pipe.write(buffer.getbuffer())
        self.pid = forkserver.read_signed(self.sentinel)


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _environment(worker: Mapping[str, str]) -> dict[str, str]:
    """Give what a child may know of the worker's environment: it holds secrets."""
    return {name: worker[name] for name in _KEPT if name in worker} | _ENVIRONMENT
