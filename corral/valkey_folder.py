"""Where the embedded Valkey keeps its state, and who may use it.

    DATA_FOLDER/valkey/
        appendonlydir/   the data
        server.log       what the server says; server.log.1 is the start before
        server.lock      held by the server's owner and, inherited, by the server itself
        owner.lock       held by the owner alone: while it is free, the server has nobody or is stopping
        server.sock      the socket, unless that path is too long for one
        socket.path      where the socket is

Two locks, because a killed owner frees its own at once while its server still writes its last bytes.
"""

import hashlib
import os
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from corral.data_folder import made_writable
from schemas.errors import Misconfigured

# sun_path holds 104 bytes on macOS and 108 on Linux, with the closing zero byte.
SOCKET_PATH_LIMIT_BYTES = 100


@dataclass(frozen=True)
class ValkeyFolder:
    """The files of one embedded Valkey; ``root`` exists, is private and can be written."""

    root: Path

    @classmethod
    def prepare(cls, data_folder: Path) -> Self:
        """Make the folder.

        Raises:
            Misconfigured: it cannot be made or written.
        """
        return cls(made_writable(data_folder, "valkey"))

    @property
    def log(self) -> Path:
        """What the server of this start says."""
        return self.root / "server.log"

    @property
    def server_lock(self) -> Path:
        """Locked while a server uses the folder."""
        return self.root / "server.lock"

    @property
    def owner_lock(self) -> Path:
        """Locked while somebody looks after the server."""
        return self.root / "owner.lock"

    def running_socket(self) -> Path | None:
        """Read where the running server's socket is; None before the first start."""
        with suppress(FileNotFoundError):
            return Path(os.fsdecode((self.root / "socket.path").read_bytes()))
        return None

    def clean(self) -> Path:
        """Remove what a killed server left, keep its log as the one before, and name the new socket.

        Only for the holder of the server lock.
        """
        for pattern in ("temp-*.rdb", "temp-rewriteaof-*.aof"):
            for left in self.root.glob(pattern):
                left.unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            self.log.replace(self.log.with_suffix(".log.1"))
        socket = self._socket()
        socket.unlink(missing_ok=True)
        (self.root / "socket.path").write_bytes(os.fsencode(socket))
        return socket

    def remove_socket(self, socket: Path) -> None:
        """Remove the socket of a server that has ended, and its folder if that was made for it."""
        socket.unlink(missing_ok=True)
        if socket.parent != self.root:
            with suppress(OSError):
                socket.parent.rmdir()

    def _socket(self) -> Path:
        socket = self.root / "server.sock"
        return socket if _fits(socket) else short_folder(self.root) / "server.sock"


def short_folder(root: Path) -> Path:
    """Make a private folder with a short path, the same for the same ``root``.

    Raises:
        Misconfigured: somebody else has one of that name: whoever owns it could replace the socket.
    """
    name = f"corral-{os.geteuid()}-{hashlib.sha256(os.fsencode(root)).hexdigest()[:12]}"
    # The temp folder may itself be deep (TMPDIR); /tmp exists wherever unix sockets do.
    candidates = [Path(tempfile.gettempdir()) / name, Path("/tmp") / name]  # noqa: S108 - made private and checked below
    folder = next(candidate for candidate in candidates if _fits(candidate / "server.sock"))
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise Misconfigured(
            f"the temporary folder {name} is not private: remove it, or use a shorter CORRAL_DATA_FOLDER"
        )
    return folder


def _fits(path: Path) -> bool:
    return len(os.fsencode(path)) <= SOCKET_PATH_LIMIT_BYTES
