"""A child's progress reaches its parent through a file."""

from pathlib import Path

from schemas.job_status import Progress
from worker.parser.progress_file import read_progress, write_progress


def test_there_is_no_progress_before_the_first_page(tmp_path: Path) -> None:
    """A child that has not begun has said nothing."""
    assert read_progress(tmp_path) is None


def test_the_newest_progress_is_read(tmp_path: Path) -> None:
    """Each line replaces the one before."""
    write_progress(tmp_path, 1, 7)
    write_progress(tmp_path, 2, 7)
    assert read_progress(tmp_path) == Progress(done=2, total=7, unit="pages")
    assert [path.name for path in tmp_path.iterdir()] == ["progress"]
