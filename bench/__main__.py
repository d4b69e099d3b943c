"""``python -m bench NAME [--quick] [--json FILE] [--check]``; ``python -m bench setup`` installs the peers."""

import argparse
import subprocess
import sys
from importlib import import_module
from pathlib import Path

from rich.console import Console

from bench.report import Report
from bench.server import serving
from bench.subject import NODE, PEERS, ROOT

BENCHMARKS = ("worker", "enqueue", "latency", "memory", "fairness", "callbacks", "documents")
_WITHOUT_PEERS = frozenset({"fairness", "callbacks"})


def main() -> int:
    """Run what the command line names; 1 when a target is missed under ``--check``."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("name", choices=[*BENCHMARKS, "setup"])
    parser.add_argument("--quick", action="store_true", help="a short form that proves the benchmark works; no targets")
    parser.add_argument("--json", type=Path, help="write the report there")
    parser.add_argument("--check", action="store_true", help="exit 1 and name each target that is missed")
    parser.add_argument("--corpus", type=Path, help="documents: a folder with pdf/, truth/ and published/")
    asked = parser.parse_args()
    if asked.name not in _WITHOUT_PEERS:
        setup()
    if asked.name == "setup":
        return 0
    report = _run(asked)
    if asked.quick:
        report.targets = []
    report.show(Console(width=200))
    if asked.json:
        report.write(asked.json)
    return int(asked.check and not all(target.met for target in report.targets))


def _run(asked: argparse.Namespace) -> Report:
    benchmark = import_module(f"bench.{asked.name}")
    if asked.name == "documents":
        return benchmark.run(quick=asked.quick, corpus=asked.corpus)  # type: ignore[no-any-return]  # named at run time
    with serving() as server:
        return benchmark.run(server, quick=asked.quick)  # type: ignore[no-any-return]


def setup() -> None:
    """Install the peers, once for each state of their requirements."""
    PEERS.mkdir(exist_ok=True)
    (PEERS / ".gitignore").write_text("*\n")
    for requirements in sorted((ROOT / "bench" / "peers").glob("*.txt")):
        folder = PEERS / requirements.stem
        stamp = folder / ".installed"
        if not stamp.exists() or stamp.read_text() != requirements.read_text():
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
            pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, "-r", str(requirements)], check=True)
            stamp.write_text(requirements.read_text())
    if not (NODE / "node_modules" / "bullmq").exists():
        subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=NODE, check=True)


if __name__ == "__main__":
    sys.exit(main())
