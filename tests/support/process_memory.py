"""How much memory a process has, as the system counts it."""

from pathlib import Path


def memory_bytes(pid: int, field: str = "VmRSS") -> int:
    """Give a figure of ``/proc/<pid>/status``: ``VmRSS`` is now, ``VmHWM`` the most there ever was."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (kilobytes,) = [line.split()[1] for line in lines if line.startswith(f"{field}:")]
    return int(kilobytes) * 1024
