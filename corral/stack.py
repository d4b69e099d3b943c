"""Corral on one machine: embedded Valkey, the API and a worker, as processes that live and die together."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from redis import Redis
from redis.exceptions import RedisError

from corral.data_folder import made_writable
from corral.supervised import SupervisedProcess
from corral.valkey import embedded_valkey
from producers.callbacks.seal import new_key
from producers.callbacks.signing_key import SigningKey
from schemas.errors import Misconfigured

_READY_S = 30.0
_ANSWER_S = 2.0
_POLL_S = 0.05


@dataclass(frozen=True)
class Stack:
    """A running Corral. ``environment`` is what its processes were given."""

    environment: dict[str, str]
    processes: tuple[SupervisedProcess, ...]

    @property
    def api_url(self) -> str:
        """Where the API answers."""
        return f"http://127.0.0.1:{self.environment['CORRAL_API_PORT']}"

    @property
    def callback_secret(self) -> str:
        """What verifies its callbacks."""
        return self.environment["CORRAL_CALLBACK_SECRET"]


@contextmanager
def running(data_folder: Path, *, api_port: int, log_level: str = "info") -> Iterator[Stack]:
    """Run a stack whose whole state lies in ``data_folder``, for the length of a ``with`` block.

    Settings in the environment win over ours; with ``CORRAL_REDIS_URL`` there is no embedded server.
    Enter it on the main thread: the processes end with the thread that starts them.

    Raises:
        Misconfigured: the port is taken, the folder cannot be written, the server that ``CORRAL_REDIS_URL`` names does
            not answer, or a process does not come up.
    """
    _demand_free(api_port)
    made_writable(data_folder)
    with ExitStack() as stack:
        if redis_url := os.environ.get("CORRAL_REDIS_URL", ""):
            _demand_answer(redis_url)
        else:
            redis_url = stack.enter_context(embedded_valkey(data_folder)).url
        environment = {
            # Callbacks and sources of a developer are on this machine.
            "CORRAL_ALLOW_LOOPBACK": "true",
            "CORRAL_LOG_LEVEL": log_level,
            # Parsers are processes of their own and use the cores; another worker would use memory.
            "CORRAL_WORKER_PROCESSES": "1",
            **os.environ,
            "CORRAL_REDIS_URL": redis_url,
            "CORRAL_DATA_FOLDER": str(data_folder),
            "CORRAL_API_PORT": str(api_port),
            "CORRAL_CALLBACK_SECRET": os.environ.get("CORRAL_CALLBACK_SECRET")
            or _kept(data_folder / "callback-secret", new_secret),
        }
        if "CORRAL_SEALING_KEYS" not in os.environ:
            environment["CORRAL_SEALING_KEYS"] = _kept(data_folder / "sealing-key", new_key)
        processes = []
        # The worker is named last and so is stopped first: its callbacks still find everything there.
        for name, arguments in (("api", ["-m", "producers", "serve"]), ("worker", ["-m", "worker"])):
            process = SupervisedProcess(name, arguments, environment)
            stack.callback(process.stop)
            processes.append(process)
        running_stack = Stack(environment, tuple(processes))
        _until_ready(running_stack)
        yield running_stack


def new_secret() -> str:
    """Make a secret that signs callbacks: ``whsec_`` and 32 random bytes in base64."""
    return SigningKey.new("hmac-sha256").text


def free_port() -> int:
    """Give a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _kept(path: Path, new: Callable[[], str]) -> str:
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(new())
    return path.read_text().strip()


def _demand_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise Misconfigured(f"port {port} is taken; end what listens there or set CORRAL_API_PORT") from error


def _demand_answer(redis_url: str) -> None:
    try:
        with Redis.from_url(redis_url, socket_connect_timeout=_ANSWER_S, socket_timeout=_ANSWER_S) as redis:
            redis.ping()
    except (RedisError, OSError, ValueError) as error:
        # The address may hold a password, and so may the error's own words.
        why = f"no server answers at CORRAL_REDIS_URL ({type(error).__name__})"
        raise Misconfigured(f"{why}; start it or correct the address") from error


def _until_ready(stack: Stack) -> None:
    deadline = time.monotonic() + _READY_S
    with httpx.Client(base_url=stack.api_url, trust_env=False) as http:
        while time.monotonic() < deadline:
            for process in stack.processes:
                if (code := process.exit_code) is not None:
                    raise Misconfigured(f"the {process.name} ended with {code} at its start; see its lines above")
            try:
                if http.get("/readyz").is_success:
                    return
            except httpx.TransportError:
                pass
            time.sleep(_POLL_S)
    raise Misconfigured(f"the api at {stack.api_url} was not ready within {_READY_S:g} s; see its lines above")
