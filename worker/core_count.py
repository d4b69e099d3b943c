"""How many cores this process may use, and how what is bounded by them is divided among processes."""

import os
from pathlib import Path

_CGROUP_LIMIT = Path("/sys/fs/cgroup/cpu.max")


def core_count(limit_file: Path = _CGROUP_LIMIT) -> int:
    """Give the cores that are ours: those of the machine, less what affinity or a container's limit takes away."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        # "<quota> <period>" in microseconds, or "max <period>".
        quota, period = limit_file.read_text().split()
        return max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError):
        return cores


def shares(whole: int, parts: int) -> list[int]:
    """Divide ``whole`` into so many parts that differ by one at the most, the larger ones first."""
    return [whole // parts + (part < whole % parts) for part in range(parts)]
