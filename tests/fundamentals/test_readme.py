"""The README's commands do what it says."""

import json
import os
import re
import subprocess
from pathlib import Path

from corral.receiver import Receiver
from corral.stack import Stack
from tests.support.until import until_sync

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_readme_is_short() -> None:
    """Nobody reads more than 120 lines."""
    assert len(README.splitlines()) <= 120


def test_the_readmes_curl_commands_work(stack: Stack, receiver: Receiver) -> None:
    """Upload, enqueue and stream, as they stand there, on a running stack."""
    upload_and_enqueue, follow = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)[1:3]

    def here(command: str) -> str:
        return command.replace("http://localhost:9000/hook", receiver.url).replace("localhost:8000", stack.api_url)

    accepted = json.loads(_shell(here(upload_and_enqueue)))
    assert accepted["state"] == "waiting"
    stream = _shell(here(follow), ID=accepted["id"])
    assert "event: progress" in stream
    assert '"state":"completed"' in stream.rstrip().splitlines()[-2]
    until_sync(lambda: bool(receiver.received), within_s=10)
    assert receiver.received[0].verified


def _shell(command: str, **variables: str) -> str:
    environment = {**os.environ, **variables}
    done = subprocess.run(
        ["/bin/bash", "-euc", command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    return done.stdout
