"""What the laptop's Valkey says when it cannot start: which thing, and what to do about it."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from corral.valkey import embedded_valkey
from schemas.errors import EngineUnavailable, Misconfigured
from tests.support.valkey_owner import owner

NOBODY = 65_534


@pytest.fixture
def unprivileged(tmp_path: Path) -> Iterator[None]:
    """A process that may not write the test's folder, even where tests run as root."""
    tmp_path.chmod(0o500)
    user = os.geteuid()
    os.seteuid(NOBODY if user == 0 else user)
    yield
    os.seteuid(user)


def test_a_taken_port_is_reported_with_the_servers_own_words(tmp_path: Path) -> None:
    """A server that ends at its start says why, at once, and leaves the folder free."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(Misconfigured, match="Address already in use"),
            embedded_valkey(tmp_path, port=port),
        ):
            pass
    with embedded_valkey(tmp_path) as server:
        assert not server.attached


def test_a_holder_that_does_not_answer_is_reported_in_time(tmp_path: Path) -> None:
    """A stopped server is not waited for endlessly: the message says what to do."""
    with owner(tmp_path) as first:
        os.kill(first.pid, signal.SIGSTOP)
        with (
            pytest.raises(EngineUnavailable, match="CORRAL_DATA_FOLDER"),
            embedded_valkey(tmp_path, within_s=0.3),
        ):
            pass
        os.kill(first.pid, signal.SIGCONT)


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    """A file where the folder should be is named as the operator's to mend."""
    (tmp_path / "file").touch()
    with pytest.raises(Misconfigured, match="CORRAL_DATA_FOLDER"), embedded_valkey(tmp_path / "file"):
        pass


@pytest.mark.usefixtures("unprivileged")
def test_a_folder_that_may_not_be_written_is_a_clear_error(tmp_path: Path) -> None:
    """A data folder of somebody else is named as the operator's to mend."""
    with pytest.raises(Misconfigured, match="CORRAL_DATA_FOLDER"), embedded_valkey(tmp_path):
        pass


def test_a_program_that_cannot_run_is_a_clear_error(tmp_path: Path) -> None:
    """A server file without its execute bit is named; no folder stays locked."""
    program = tmp_path / "valkey-server"
    program.touch(mode=0o600)
    with (
        pytest.raises(Misconfigured, match="valkey-server cannot be run"),
        embedded_valkey(tmp_path, program=program),
    ):
        pass
