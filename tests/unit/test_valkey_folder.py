"""Where the embedded Valkey keeps its files, and which stand-ins it refuses."""

import os
from pathlib import Path

import pytest

from corral.file_lock import is_held, locked
from corral.valkey_folder import ValkeyFolder, short_folder
from schemas.errors import Misconfigured


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder of the test's own, short enough for sockets."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_the_short_folder_of_a_root_is_always_the_same(temporary: Path) -> None:
    """Every start finds the same socket; two roots never share one."""
    first = short_folder(Path("/a"))
    assert first == short_folder(Path("/a"))
    assert first != short_folder(Path("/b"))
    assert first.parent == temporary


@pytest.mark.usefixtures("temporary")
def test_a_short_folder_that_others_may_enter_is_refused() -> None:
    """Whoever may write the folder could put a socket of their own there."""
    short_folder(Path("/a")).chmod(0o777)
    with pytest.raises(Misconfigured, match="not private"):
        short_folder(Path("/a"))


def test_a_link_in_place_of_the_short_folder_is_refused(temporary: Path) -> None:
    """A link could lead to a folder of somebody else."""
    folder = short_folder(Path("/a"))
    folder.rmdir()
    folder.symlink_to(temporary)
    with pytest.raises(Misconfigured, match="not private"):
        short_folder(Path("/a"))


def test_a_deep_temporary_folder_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where TMPDIR itself is too deep for a socket, the system's own is used."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / ("deep" * 30)))
    folder = short_folder(tmp_path)
    try:
        assert len(os.fsencode(folder / "server.sock")) <= 100
    finally:
        folder.rmdir()


def test_the_log_of_the_start_before_is_kept(tmp_path: Path) -> None:
    """One start back can be read; logs do not grow for ever."""
    folder = ValkeyFolder.prepare(tmp_path)
    folder.log.write_text("before")
    folder.clean()
    assert not folder.log.exists()
    assert (folder.root / "server.log.1").read_text() == "before"


def test_a_lock_is_held_by_one_and_free_again_after_its_block(tmp_path: Path) -> None:
    """A second holder gets None instead of waiting, and whoever asks sees the truth."""
    path = tmp_path / "lock"
    with locked(path) as first, locked(path) as second:
        assert first is not None
        assert second is None
        assert is_held(path)
    assert not is_held(path)


def test_a_lock_is_free_after_an_error_in_its_block(tmp_path: Path) -> None:
    """What goes wrong in the block does not leave the folder locked."""
    path = tmp_path / "lock"
    with pytest.raises(RuntimeError), locked(path):
        raise RuntimeError
    assert not is_held(path)
