"""What processes have cost: those below this one together, or one by its id."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Memory:
    """What a process has in memory, in MB (10**6 bytes).

    ``rss_mb`` is all that is resident, ``pss_mb`` has pages that processes share by their share, and
    ``uss_mb`` is what would be free if the process ended.
    """

    rss_mb: float
    pss_mb: float
    uss_mb: float


def memory(process: int) -> Memory:
    """Read what a process has in memory now; Linux only."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]
    kb = {name: int(figure.split()[0]) for name, _, figure in (line.partition(":") for line in lines)}
    private_kb = kb["Private_Clean"] + kb["Private_Dirty"]
    return Memory(*(each * 1024 / 1e6 for each in (kb["Rss"], kb["Pss"], private_kb)))


def peak_rss_mb() -> float:
    """Give the peak resident memory of the largest process below this one, in MB; 0 where /proc is missing."""
    return max((_peak_kb(process) / 1024 for process in _below(os.getpid())), default=0.0)


def cpu_s() -> float:
    """Give the CPU time of all processes below this one, with those that they have waited for, in seconds."""
    return sum(_ticks(process) for process in _below(os.getpid())) / os.sysconf("SC_CLK_TCK")


def _ticks(process: int) -> int:
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(map(int, fields[11:15]))


def _below(parent: int) -> list[int]:
    children = [process for process, its_parent in _parents().items() if its_parent == parent]
    return children + [process for child in children for process in _below(child)]


def _parents() -> dict[int, int]:
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            found[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    return found


def _peak_kb(process: int) -> int:
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)
