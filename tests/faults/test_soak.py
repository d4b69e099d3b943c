"""The soak in short: a whole fleet under load whose workers are killed and whose server is restarted."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
JOBS, FEW = 1_500, 150

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(sys.platform != "linux", reason="the tree of processes is read from /proc"),
]


def test_every_job_ends_once_and_is_called_back_whatever_dies(tmp_path: Path) -> None:
    """Mixed jobs, a worker killed every two seconds, a server restarted in order and by force: no promise is broken."""
    file = tmp_path / "soak.json"
    amount = ["--jobs", str(JOBS), "--seconds", "20", "--settle", "60"]
    trouble = ["--kill-every", "2", "--restart-every", "5", "--processes", "4"]
    soak = subprocess.run(
        [sys.executable, "-m", "tests.soak", *amount, *trouble, "--json", str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert soak.returncode == 0, soak.stdout + soak.stderr
    report = json.loads(file.read_text())
    figures = {row["metric"]: row["value"] for row in report["rows"] if row["subject"] == "all"}
    assert figures["kills of workers"] >= 3
    assert figures["restarts of the server"] >= 1
    assert sum(row["value"] for row in report["rows"] if row["metric"] == "accepted") > FEW
