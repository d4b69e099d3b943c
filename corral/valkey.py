"""A laptop's queue server, without Docker and without installing one.

``embedded_valkey`` starts a real Valkey for one data folder, or joins the one that is running there.
The server keeps every accepted write in its append-only file, hears no Ctrl-C, and ends with the
process that started it, however that ends.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from corral.file_lock import is_held, locked
from corral.valkey_answer import ask
from corral.valkey_binary import find_server
from corral.valkey_folder import ValkeyFolder
from corral.valkey_options import arguments
from corral.valkey_process import Patience, answering
from schemas.errors import Misconfigured


@dataclass(frozen=True)
class ValkeyServer:
    """A running server. ``port`` is its TCP port on 127.0.0.1, None when it has only its socket.

    ``attached`` says that somebody else owns it: it ends with its owner, not with this block.
    """

    socket: Path
    pid: int
    port: int | None
    attached: bool

    @property
    def url(self) -> str:
        """The address for redis-py's ``from_url``; ioredis takes ``socket`` as its ``path``."""
        return f"unix://{quote(str(self.socket))}"


@contextmanager
def embedded_valkey(
    data_folder: Path, *, port: int | None = None, program: Path | None = None, within_s: float = 60.0
) -> Iterator[ValkeyServer]:
    """Run the data folder's Valkey for the length of a ``with`` block, or join the one that runs.

    Enter it on a thread that lives as long as the process: Linux ends the server with that thread.
    All that the server keeps lies in ``data_folder/valkey``. ``port`` adds a TCP port on loopback.
    ``program`` is the server's file; ``find_server`` finds it when it is not given. ``within_s``
    covers the end of a server whose owner was killed, and the loading of its data.

    Raises:
        Misconfigured: no server program, no writable folder, another port, or a server that will not start.
        EngineUnavailable: it does not answer within ``within_s``.
    """
    patience = Patience(time.monotonic() + within_s)
    folder = ValkeyFolder.prepare(data_folder)
    with ExitStack() as stack:
        held = _lock_or_join(folder, patience, stack)
        if isinstance(held, ValkeyServer):
            yield _checked(held, port)
            return
        command = [str(program or find_server())]
        socket = folder.clean()
        stack.callback(folder.remove_socket, socket)
        command += arguments(folder, socket, port)
        answer = stack.enter_context(answering(command, folder, held, patience))
        yield ValkeyServer(socket=socket, pid=answer.pid, port=answer.port, attached=False)


def _lock_or_join(folder: ValkeyFolder, patience: Patience, stack: ExitStack) -> int | ValkeyServer:
    """Give the server lock, held until the stack ends, or the server that answers and will stay."""
    while True:
        with ExitStack() as attempt:
            lock = attempt.enter_context(locked(folder.server_lock))
            # The owner's lock comes second: whoever finds it held may trust that the server stays.
            if lock is not None and attempt.enter_context(locked(folder.owner_lock)) is not None:
                stack.push(attempt.pop_all())
                return lock
        if is_held(folder.owner_lock) and (running := _running(folder)) is not None:
            return running
        patience.pause("a valkey that is starting or stopping holds this data folder", folder)


def _running(folder: ValkeyFolder) -> ValkeyServer | None:
    socket = folder.running_socket()
    if socket is None or (answer := ask(socket)) is None:
        return None
    return ValkeyServer(socket=socket, pid=answer.pid, port=answer.port, attached=True)


def _checked(server: ValkeyServer, port: int | None) -> ValkeyServer:
    if port is not None and server.port != port:
        raise Misconfigured(
            f"the valkey of this data folder runs without port {port}: stop it first, or ask for no port"
        )
    return server
