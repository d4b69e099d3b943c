"""What the architecture tests read: the repository's own files, as git would commit them."""

import ast
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PRODUCTION = ("schemas", "producers", "worker", "corral")


@cache
def files() -> tuple[Path, ...]:
    """Give every file that is committed or would be, relative to the root, in alphabetical order."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    names = {Path(name) for name in listed.stdout.split("\x00") if name}
    return tuple(sorted(name for name in names if (ROOT / name).is_file()))


def modules(*folders: str) -> list[Path]:
    """Give the Python files below some folders; of the whole repository when none is named."""
    return [name for name in files() if name.suffix == ".py" and (not folders or name.parts[0] in folders)]


def suites() -> list[Path]:
    """Give the files that hold tests."""
    return [name for name in modules("tests") if name.name.startswith("test_")]


@cache
def source(name: Path) -> str:
    """Read a file of the repository."""
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def tree(name: Path) -> ast.Module:
    """Parse a module of the repository."""
    return ast.parse(source(name))


@cache
def house() -> dict[str, Any]:
    """Read ``[tool.corral]`` of pyproject.toml: the figures and the exceptions of these tests."""
    settings: dict[str, Any] = tomllib.loads(source(Path("pyproject.toml")))["tool"]["corral"]
    return settings
