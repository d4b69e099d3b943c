"""deploy/valkey.conf as tests read it: each directive with its values and its reason."""

from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).parents[2] / "deploy" / "valkey.conf"


@dataclass(frozen=True)
class Directive:
    """One setting. ``reason`` is the comment above it, shared by the lines of one block."""

    name: str
    value: str
    reason: str


def directives() -> list[Directive]:
    """Read the file's directives in order; a quoted value is given without its quotes."""
    found = []
    for block in FILE.read_text().split("\n\n"):
        lines = block.strip().splitlines()
        reason = " ".join(line.lstrip("# ") for line in lines if line.startswith("#"))
        settings = (line.partition(" ") for line in lines if line and not line.startswith("#"))
        found += [Directive(name, value.strip().strip('"'), reason) for name, _, value in settings]
    return found
