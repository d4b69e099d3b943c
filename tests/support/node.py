"""Runs a program of ``tests/node`` on a server: what a Node program sees of Corral."""

import asyncio
import json
import os
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

FOLDER = Path(__file__).parents[1] / "node"

needs_node = pytest.mark.skipif(
    shutil.which("node") is None and "CI" not in os.environ, reason="node is not installed; CI has it"
)


async def interop(url: str, queue: str, step: str, job: object = None) -> dict[str, Any]:
    """Do one step of ``interop.mjs`` on the server at a ``unix://`` address."""
    socket = unquote(urlsplit(url).path)
    given = json.dumps({"socket": socket, "queue": queue, "step": step, "job": job})
    pipe = asyncio.subprocess.PIPE
    node = await asyncio.create_subprocess_exec("node", "interop.mjs", cwd=FOLDER, stdin=pipe, stdout=pipe)
    said, _ = await node.communicate(given.encode())
    assert node.returncode == 0
    seen: dict[str, Any] = json.loads(said)
    return seen
