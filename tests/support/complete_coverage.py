"""A gate: the files of ``[tool.corral.coverage]`` in pyproject.toml have no line or branch untested.

python -m tests.support.complete_coverage .coverage.json
"""

import json
import sys
import tomllib
from pathlib import Path
from typing import Any


def gaps(report: dict[str, Any], complete: list[str]) -> list[str]:
    """Give one line per file that is not covered completely, or that the report does not know."""
    found = []
    for name in complete:
        measured = report["files"].get(name)
        if measured is None:
            found.append(f"{name}: not measured; was it renamed?")
            continue
        lines = measured["missing_lines"]
        branches = [f"{start}->{end}" for start, end in measured["missing_branches"]]
        if lines or branches:
            found.append(f"{name}: lines {lines}, branches {branches} are not tested")
    return found


def main() -> None:
    """Read the report that the command line names; exit 1 when a file has a gap."""
    report = json.loads(Path(sys.argv[1]).read_text())
    complete = tomllib.loads(Path("pyproject.toml").read_text())["tool"]["corral"]["coverage"]["complete"]
    if found := gaps(report, complete):
        sys.exit("\n".join(found))
    sys.stdout.write(f"covered completely: {', '.join(complete)}\n")


if __name__ == "__main__":
    main()
