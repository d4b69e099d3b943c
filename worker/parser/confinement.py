"""What a child gives up before it meets foreign bytes: memory, network, its parent's secrets."""

import contextlib
import ctypes
import multiprocessing.forkserver as forkserver_module
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from producers.child_process import die_with_parent
from worker.parser.limit import ParserLimits

_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_OPEN_FILES = 256
_LOOPBACK = "lo"


def confine(limits: ParserLimits) -> None:
    """Run once in each new child; pebble ends a child that raises here."""
    _silence()
    if sys.platform == "linux":
        _let_server_end()
        die_with_parent(signal.SIGKILL)
        _cut_network()
        _libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _limit(resource.RLIMIT_AS, limits.memory_bytes)
    _limit(resource.RLIMIT_FSIZE, limits.max_output_bytes)
    _limit(resource.RLIMIT_NOFILE, _OPEN_FILES)
    # A core file would hold the document.
    _limit(resource.RLIMIT_CORE, 0)


def network_is_off() -> bool:
    """Tell whether this process sees no interface but loopback."""
    return {name for _, name in socket.if_nameindex()} <= {_LOOPBACK}


def peak_memory_bytes() -> int:
    """Give the most address space that this process has had mapped, which RLIMIT_AS counts."""
    if sys.platform != "linux":
        return 0
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmPeak:"):
            return int(line.split()[1]) * 1024
    return 0


def _let_server_end() -> None:
    # The chain is worker -> fork server -> child. The server ends when the last writer of its
    # "alive" pipe is gone, and a child is one: without closing it here, the server, and with it
    # every child, would outlive a killed worker.
    server: Any = forkserver_module._forkserver  # noqa: SLF001 - the only way to that descriptor
    if server._forkserver_alive_fd is not None:  # noqa: SLF001
        os.close(server._forkserver_alive_fd)  # noqa: SLF001
        server._forkserver_alive_fd = None  # noqa: SLF001


def _cut_network() -> None:
    # With CAP_SYS_ADMIN the network alone; without it a user namespace has to come along, where
    # the system allows that. Refused both times: `network_is_off` tells the parent, who logs it.
    user, group = os.getuid(), os.getgid()
    if _libc().unshare(_CLONE_NEWNET) == 0:
        return
    if _libc().unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0:
        with contextlib.suppress(OSError):
            Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
            Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")
            Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")


def _silence() -> None:
    # Parsers print what they stumble over: that is the document, and has no place in our logs.
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    os.close(null)


def _limit(kind: int, most: int) -> None:
    _, hard = resource.getrlimit(kind)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (most, most))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
