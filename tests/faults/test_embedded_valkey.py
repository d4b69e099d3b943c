"""The laptop's Valkey under real signals: what was written stays, and nobody is left behind."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from corral.valkey import ValkeyServer, embedded_valkey
from corral.valkey_folder import SOCKET_PATH_LIMIT_BYTES
from corral.valkey_options import PROMISES
from schemas.errors import Misconfigured
from tests.support.until import until_sync
from tests.support.valkey_owner import is_running, owner, ready, start

KEYS = 5_000


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ValkeyServer]:
    """A server that this process owns."""
    with embedded_valkey(tmp_path) as running:
        yield running


def client(server: ValkeyServer) -> redis.Redis:
    """Connect as the fleet does, with the address alone."""
    return redis.Redis.from_url(server.url, decode_responses=True, retry=None)


def test_the_server_answers_while_its_block_lasts_and_is_gone_after_it(tmp_path: Path) -> None:
    """A ``with`` block is the server's whole life, and it leaves no socket behind."""
    with embedded_valkey(tmp_path) as server, client(server) as connection:
        assert connection.ping()
        assert connection.info("server")["process_id"] == server.pid
        assert (server.attached, server.port) == (False, None)
    assert not is_running(server.pid)
    assert not server.socket.exists()


def test_the_server_keeps_all_of_its_state_in_the_data_folder(server: ValkeyServer, tmp_path: Path) -> None:
    """Data, log, locks and socket lie in one folder that only its owner may read."""
    folder = tmp_path / "valkey"
    names = {path.name for path in folder.iterdir()}
    assert names == {"appendonlydir", "server.log", "server.lock", "owner.lock", "server.sock", "socket.path"}
    assert folder.stat().st_mode & 0o077 == 0
    assert server.socket.stat().st_mode & 0o077 == 0


def test_the_server_is_as_durable_as_it_says(server: ValkeyServer) -> None:
    """The options that "accepted is kept" rests on are in force, whatever the program's own defaults are."""
    with client(server) as connection:
        assert {name: connection.config_get(name)[name] for name in PROMISES} == dict(PROMISES)


def test_the_server_listens_on_no_port_unless_asked(server: ValkeyServer) -> None:
    """Without ``port`` nothing but the socket can be reached."""
    with client(server) as connection:
        assert connection.config_get("port") == {"port": "0"}


def test_a_port_that_was_asked_for_is_on_loopback_alone(tmp_path: Path) -> None:
    """``port`` serves programs that cannot use a socket, on this machine only."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with embedded_valkey(tmp_path, port=port) as server:
        assert server.port == port
        with redis.Redis(host="127.0.0.1", port=port, decode_responses=True) as connection:
            assert connection.config_get("bind") == {"bind": "127.0.0.1"}
        with embedded_valkey(tmp_path, port=port) as second:
            assert second.attached
        with pytest.raises(Misconfigured, match="without port 1"), embedded_valkey(tmp_path, port=1):
            pass


def test_a_second_start_attaches_and_leaves_the_server_running(server: ValkeyServer, tmp_path: Path) -> None:
    """Two starts on one folder share one server, which ends with the first."""
    with owner(tmp_path) as second:
        assert second.attached
        assert (second.pid, second.socket) == (server.pid, server.socket)
        second.end(signal.SIGTERM)
    with client(server) as connection:
        assert connection.ping()


def test_starts_at_the_same_moment_end_up_with_one_server(tmp_path: Path) -> None:
    """Of five starts that race for one folder, one owns the server and four attach."""
    with ExitStack() as stack:
        processes = [stack.enter_context(start(tmp_path)) for _ in range(5)]
        for process in processes:
            stack.callback(process.kill)
        owners = [ready(process) for process in processes]
        assert [one.attached for one in owners].count(False) == 1
        assert len({one.pid for one in owners}) == 1


def test_a_killed_owner_leaves_no_server_behind(tmp_path: Path) -> None:
    """Kill -9 of the owner ends its server too."""
    with owner(tmp_path) as first:
        first.end(signal.SIGKILL)
        until_sync(lambda: not is_running(first.pid), within_s=5)


def test_a_start_right_after_a_kill_waits_for_the_old_server_to_end(tmp_path: Path) -> None:
    """The next start neither attaches to a server that is stopping nor shares its files."""
    for round_ in range(3):
        with owner(tmp_path) as first:
            first.client().set(f"round:{round_}", "kept")
            first.end(signal.SIGKILL)
            with embedded_valkey(tmp_path) as server, client(server) as connection:
                assert not server.attached
                assert not is_running(first.pid)
                assert connection.dbsize() == round_ + 1


def test_every_written_key_outlives_a_kill_of_owner_and_server(tmp_path: Path) -> None:
    """Kill -9 of both loses nothing that was answered: the append-only file has it."""
    with owner(tmp_path) as first:
        with first.client() as connection:
            for number in range(KEYS):
                connection.set(f"key:{number}", number)
        os.kill(first.pid, signal.SIGKILL)
        first.end(signal.SIGKILL)
        assert first.socket.exists(), "a killed server cannot tidy up; the next start must"
    with embedded_valkey(tmp_path) as server, client(server) as connection:
        assert not server.attached
        assert connection.dbsize() == KEYS
        assert connection.get(f"key:{KEYS - 1}") == str(KEYS - 1)


def test_keys_outlive_an_orderly_stop(tmp_path: Path) -> None:
    """What one run has written, the next run reads."""
    with embedded_valkey(tmp_path) as server, client(server) as connection:
        connection.set("key", "kept")
    with embedded_valkey(tmp_path) as server, client(server) as connection:
        assert connection.get("key") == "kept"


def test_ctrl_c_does_not_reach_the_server(tmp_path: Path) -> None:
    """SIGINT to the terminal's process group leaves the server to the workers until its owner ends."""
    with owner(tmp_path) as first:
        os.killpg(first.process.pid, signal.SIGINT)
        assert first.said() == "interrupted"
        assert os.getsid(first.pid) == first.pid
        with first.client() as connection:
            # Half a second of the server's own time: it ends within a tenth of one when it hears a signal.
            assert connection.blpop(["nothing comes"], timeout=0.5) is None
            assert connection.ping()
        first.end(signal.SIGTERM)
        assert not is_running(first.pid)


def test_a_truncated_file_loads_up_to_its_last_whole_write(tmp_path: Path) -> None:
    """A power cut in the middle of a write costs that write, not the start."""
    with embedded_valkey(tmp_path) as server, client(server) as connection:
        connection.set("whole", "kept")
        connection.set("torn", "x" * 100)
    written = next((tmp_path / "valkey" / "appendonlydir").glob("*.incr.aof"))
    os.truncate(written, written.stat().st_size - 20)
    with embedded_valkey(tmp_path) as server, client(server) as connection:
        assert connection.get("whole") == "kept"
        assert connection.get("torn") is None


def test_a_deep_data_folder_gets_a_short_private_socket(tmp_path: Path) -> None:
    """A path beyond the system's limit for sockets is no obstacle, and the stand-in is tidied away."""
    deep = tmp_path / ("deep" * 30) / "döcs and more"
    with embedded_valkey(deep) as server, client(server) as connection:
        assert connection.ping()
        assert len(os.fsencode(server.socket)) <= SOCKET_PATH_LIMIT_BYTES
        assert server.socket.parent.stat().st_mode & 0o777 == 0o700
        with owner(deep) as second:
            assert (second.attached, second.socket) == (True, server.socket)
    assert not server.socket.parent.exists()


def test_a_folder_name_with_any_characters_makes_a_usable_url(tmp_path: Path) -> None:
    """Blanks, umlauts, percent and question marks in a path reach redis-py unharmed."""
    with embedded_valkey(tmp_path / "a ü %41?#") as server, client(server) as connection:
        assert connection.ping()


def test_what_a_killed_start_left_is_cleaned(tmp_path: Path) -> None:
    """A dead socket, a half-written rewrite and an old address do not stand in a start's way."""
    folder = tmp_path / "valkey"
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(folder / "server.sock"))
    (folder / "temp-rewriteaof-1.aof").write_bytes(b"half")
    (folder / "socket.path").write_text("/nowhere/server.sock")
    with embedded_valkey(tmp_path) as server, client(server) as connection:
        assert connection.ping()
    assert not (folder / "temp-rewriteaof-1.aof").exists()


def test_the_server_does_not_see_its_owners_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment, which holds tokens and secrets, stays with the owner."""
    monkeypatch.setenv("CORRAL_CALLBACK_SECRET", "whsec_made_up")
    with embedded_valkey(tmp_path) as server:
        assert "whsec_made_up" not in environment_of(server.pid)


def environment_of(pid: int) -> str:
    """Give what other processes of this user may read of a process's environment."""
    if (kept := Path(f"/proc/{pid}/environ")).exists():
        return kept.read_text()
    return subprocess.run(["ps", "eww", "-p", str(pid)], capture_output=True, text=True, check=True).stdout
