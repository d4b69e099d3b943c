"""A benchmark's report says what was measured, and whether each target is met."""

import json
import math
from pathlib import Path

import pytest

from bench.report import Report, Row, Target, medians


def test_a_figure_is_the_median_of_its_rounds() -> None:
    """One slow round changes nothing."""
    rounds = [("Node", "c=10", "rate", value, "jobs/s") for value in (10.0, 1.0, 11.0)]
    assert medians(rounds) == [Row("Node", "c=10", "rate", 10.0, "jobs/s")]


@pytest.mark.parametrize(
    ("value", "sense", "met"),
    [(1.0, "<=", True), (1.1, "<=", False), (1.0, ">=", True), (0.9, ">=", False), (math.nan, ">=", False)],
)
def test_a_target_is_met_or_not(value: float, sense: str, *, met: bool) -> None:
    """At its bound a target is met; a figure that was not measured meets none."""
    assert Target("id", "what", value, 1.0, sense).met is met


def test_a_report_is_written_as_the_design_says(tmp_path: Path) -> None:
    """The JSON has the keys that its readers rely on."""
    report = Report("worker", [Row("Node", "c=10", "rate", 10.0, "jobs/s")], [Target("t", "rate", 2.0, 1.0, ">=")])
    report.write(tmp_path / "report.json")
    written = json.loads((tmp_path / "report.json").read_text())
    assert list(written) == ["bench", "at", "machine", "versions", "rows", "targets"]
    assert written["rows"] == [{"subject": "Node", "case": "c=10", "metric": "rate", "value": 10.0, "unit": "jobs/s"}]
    assert written["targets"][0]["met"] is True
    assert "bullmq" in written["versions"]
