"""The options that the embedded server runs with; it reads no file."""

from pathlib import Path
from types import MappingProxyType

from corral.valkey_folder import ValkeyFolder

# What two promises rest on: that accepted is kept, and that delayed jobs begin in time. The reasons stand
# in deploy/valkey.conf; a test holds the two together.
PROMISES = MappingProxyType(
    {
        "appendonly": "yes",
        "appendfsync": "everysec",
        "no-appendfsync-on-rewrite": "no",
        "aof-load-truncated": "yes",
        "aof-use-rdb-preamble": "yes",
        "save": "",
        "maxmemory-policy": "noeviction",
        "hz": "100",
    }
)


def arguments(folder: ValkeyFolder, socket: Path, port: int | None) -> list[str]:
    """Give the server's options as its command line takes them; nothing is read from a file."""
    options = {
        **PROMISES,
        "dir": str(folder.root),
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "port": str(port or 0),
        "bind": "127.0.0.1",
        "protected-mode": "yes",
        "daemonize": "no",
        "logfile": "",
    }
    return [part for name, value in options.items() for part in (f"--{name}", value)]
