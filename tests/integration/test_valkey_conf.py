"""A real server accepts deploy/valkey.conf and runs as the file says."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from corral.valkey_answer import ask
from corral.valkey_binary import find_server
from corral.valkey_folder import short_folder
from tests.support.until import until_sync
from tests.support.valkey_conf import FILE, directives

_UNITS = {"mb": 1024**2, "gb": 1024**3}
# Overridden below, as a deployment does with its own folder and port.
_OVERRIDDEN = {"port"}


@pytest.fixture
def deployed(tmp_path: Path) -> Iterator[redis.Redis]:
    """A client of a server that was started from the file."""
    folder = short_folder(tmp_path)
    socket = folder / "server.sock"
    overrides = ["--dir", str(tmp_path), "--port", "0", "--unixsocket", str(socket)]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([find_server(), FILE, *overrides], stdout=log, stderr=log)
    try:
        until_sync(lambda: process.poll() is not None or ask(socket))
        assert process.poll() is None, (tmp_path / "log").read_text()
        with redis.Redis(unix_socket_path=str(socket), decode_responses=True) as client:
            yield client
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=10)
        folder.rmdir()


def test_a_real_server_runs_with_every_line_of_the_file(deployed: redis.Redis) -> None:
    """Each directive is known to the server, and in force."""
    in_force = deployed.config_get("*")
    buffers = str(in_force.pop("client-output-buffer-limit")).split()
    differing = {
        one.name: (one.value, in_force.get(one.name))
        for one in directives()
        if one.name not in {*_OVERRIDDEN, "client-output-buffer-limit"} and plain(one.value) != in_force.get(one.name)
    }
    assert differing == {}
    # The server still says slave for replica.
    limits = [one.value for one in directives() if one.name == "client-output-buffer-limit"]
    assert [plain(word) for limit in limits for word in limit.split()] == [
        "replica" if word == "slave" else word for word in buffers
    ]


def plain(value: str) -> str:
    """Give a value as the server gives it: in bytes."""
    number, unit = value[:-2], value[-2:]
    return str(int(number) * _UNITS[unit]) if unit in _UNITS and number.isdigit() else value
