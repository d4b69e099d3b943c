"""This process's children, for Prometheus: how many there are and what memory they hold."""

import os
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class ChildProcesses:
    """A collector: looks at ``/proc`` when it is asked. Where there is none, there are no children to see."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give the two figures as they are now."""
        pids = list(below(os.getpid()))
        held = sum(_resident_bytes(pid) for pid in pids)
        yield GaugeMetricFamily("corral_child_processes", "Parsers and what starts them.", len(pids))
        yield GaugeMetricFamily("corral_child_memory_bytes", "What they hold; shared pages count each time.", held)


def below(pid: int) -> Iterator[int]:
    """Give the processes that a process has started, and those that they have."""
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(word) for word in thread.read_text().split()]
        except OSError:
            continue  # it has just ended
        for child in children:
            yield child
            yield from below(child)


def _resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0
