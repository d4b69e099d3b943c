"""The gate of complete coverage is red for every kind of gap."""

from typing import Any

import pytest

from tests.support.complete_coverage import gaps


def report(**measured: list[Any]) -> dict[str, Any]:
    """Make coverage's report of one file that is covered but for what is given."""
    return {"files": {"worker/judge.py": {"missing_lines": [], "missing_branches": [], **measured}}}


def test_a_file_covered_completely_has_no_gap() -> None:
    """No line and no branch is missing, so nothing is said."""
    assert gaps(report(), ["worker/judge.py"]) == []


@pytest.mark.parametrize("missing", [{"missing_lines": [7]}, {"missing_branches": [[7, 9]]}], ids=str)
def test_a_missing_line_or_branch_is_a_gap(missing: dict[str, Any]) -> None:
    """Either one makes the gate red and is named."""
    (gap,) = gaps(report(**missing), ["worker/judge.py"])
    assert "worker/judge.py" in gap
    assert "7" in gap


def test_a_file_that_was_not_measured_is_a_gap() -> None:
    """A renamed file cannot slip out of the gate."""
    assert gaps(report(), ["worker/attempt.py"]) == ["worker/attempt.py: not measured; was it renamed?"]
