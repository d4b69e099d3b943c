"""The web tier in Node adds jobs with plain BullMQ: they are first-class."""

import asyncio
import json
import os
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from corral.stack import Stack
from producers.client import Corral
from schemas.job_status import JobState

NODE = Path(__file__).parents[1] / "node"

pytestmark = pytest.mark.skipif(
    shutil.which("node") is None and "CI" not in os.environ, reason="node is not installed; CI has it"
)


async def produce(stack: Stack, name: str, data: dict[str, Any]) -> dict[str, Any]:
    """Have Node add a job and wait for its end; give what Node saw."""
    socket = unquote(urlsplit(stack.environment["CORRAL_REDIS_URL"]).path)
    given = json.dumps({"socket": socket, "queue": "documents", "name": name, "data": data})
    node = await asyncio.create_subprocess_exec(
        "node", "produce.mjs", cwd=NODE, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await node.communicate(given.encode())
    assert node.returncode == 0
    seen: dict[str, Any] = json.loads(said)
    return seen


@pytest.mark.parametrize("name", ["convert", "documents.convert"])
async def test_a_job_that_node_added_is_done(stack: Stack, name: str) -> None:
    """Node's own events show its progress, and its own `waitUntilFinished` gives the result."""
    async with Corral(stack.api_url) as corral:
        source = await corral.upload(Path(str(files("corral") / "samples" / "report.pdf")))
        seen = await produce(stack, name, {"source": {"file": source.ref}, "options": {"outputs": ["markdown"]}})
        assert seen["result"]["format"] == "pdf"
        assert seen["result"]["pages"] == 3
        assert seen["progress"][-1] == {"done": 3, "total": 3, "unit": "pages"}
        status = await corral.status(f"documents_{seen['id']}")
        assert status.state is JobState.COMPLETED
        assert await corral.result(status.id) == seen["result"]


async def test_a_job_that_node_added_wrongly_fails_with_a_reason(stack: Stack) -> None:
    """Node sees the code and what to mend, and no trace."""
    seen = await produce(stack, "convert", {"source": {"file": "report.pdf"}})
    assert seen["failed"].startswith("payload_invalid: the payload does not fit its schema: source")
