"""A page of the documentation, whose commands a test runs as they stand there, on a `corral dev` of its own."""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from corral.stack import free_port
from tests.support.until import until_sync

ROOT = Path(__file__).parents[2]
# Where nobody listens: an address of a page is never reached.
NOWHERE = "http://127.0.0.1:9"
_COMMAND = f'corral() {{ {shlex.quote(sys.executable)} -m corral "$@"; }}\n'
_READY = b"nothing is lost."


@dataclass
class Page:
    """A page below ``docs``, and where its commands are run: a folder with the project in it."""

    path: str
    project: Path = ROOT
    port: int = field(default_factory=free_port)
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """What it says."""
        return (ROOT / "docs" / self.path).read_text()

    def blocks(self, language: str) -> list[str]:
        """Give its blocks of code in one language, in their order."""
        return re.findall(rf"^```{language}\n(.*?)^```$", self.text, re.DOTALL | re.MULTILINE)

    @contextmanager
    def dev(self, data_folder: Path, block: str = "corral dev") -> Iterator[None]:
        """Run a block that ends with `corral dev`, for the length of the ``with`` block."""
        said = data_folder / "dev.log"
        settings = {"CORRAL_API_PORT": str(self.port), "CORRAL_DATA_FOLDER": str(data_folder)}
        with said.open("wb") as log:
            process = subprocess.Popen(
                ["/bin/bash", "-euc", _COMMAND + block],
                cwd=self.project,
                env={**os.environ, **self.variables, **settings},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            until_sync(lambda: process.poll() is not None or _READY in said.read_bytes(), within_s=60)
            assert process.poll() is None, said.read_text()
            yield
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(timeout=60)

    def run(self, block: str) -> str:
        """Run a block against it and give what it prints; every command must succeed."""
        here = block.replace("localhost:8000", f"127.0.0.1:{self.port}").replace("https://example.com", NOWHERE)
        address = {"CORRAL_API_URL": f"http://127.0.0.1:{self.port}"}
        done = subprocess.run(
            ["/bin/bash", "-euc", _COMMAND + here],
            cwd=self.project,
            env={**os.environ, **self.variables, **address},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
