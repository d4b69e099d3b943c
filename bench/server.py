"""The one server of a run: Corral's embedded Valkey, with its append-only file on, for everybody."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from redis import Redis

from corral.stack import free_port
from corral.valkey import embedded_valkey


@dataclass(frozen=True)
class Server:
    """Where it listens on loopback."""

    port: int

    def empty(self) -> None:
        """Remove what the run before has left."""
        with Redis(port=self.port) as client:
            client.flushall()
            client.script_flush()
            client.config_resetstat()


@contextmanager
def serving() -> Iterator[Server]:
    """Run a server for the length of a block."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder, embedded_valkey(Path(folder), port=port):
        yield Server(port)
