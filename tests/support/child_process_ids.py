"""Which processes descend from one, as the system sees it."""

import os
from pathlib import Path


def descendants(of: int | None = None) -> set[int]:
    """Give the ids of the living processes below ``of``, by default below this one."""
    parents = {pid: parent for pid in _ids() if (parent := _parent(pid)) is not None}
    found: set[int] = set()
    level = {os.getpid() if of is None else of}
    while level := {pid for pid, parent in parents.items() if parent in level} - found:
        found |= level
    return found


def children(of: int) -> list[int]:
    """Give the ids of the processes that the first thread of ``of`` has started."""
    return [int(word) for word in Path(f"/proc/{of}/task/{of}/children").read_text(encoding="utf-8").split()]


def alive(pid: int) -> bool:
    """Tell whether a process runs; a zombie does not."""
    return _parent(pid) is not None


def environment(pid: int) -> str:
    """Give the environment that a process was started with."""
    return Path(f"/proc/{pid}/environ").read_text(encoding="utf-8")


def interfaces(pid: int) -> list[str]:
    """Name the network interfaces that a process sees."""
    lines = Path(f"/proc/{pid}/net/dev").read_text(encoding="utf-8").splitlines()[2:]
    return [line.split(":")[0].strip() for line in lines]


def _ids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _parent(pid: int) -> int | None:
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[:2]
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state == "Z" else int(parent)
