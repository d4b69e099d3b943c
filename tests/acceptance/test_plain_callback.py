"""A web tier in Node asks for a callback as docs/explanation/delivery-guarantees.md shows."""

import asyncio
import json
import re
from importlib.resources import files
from pathlib import Path
from urllib.parse import unquote, urlsplit

from corral.receiver import Receiver
from corral.stack import Stack
from producers.client import Corral
from tests.support.guarantee_table import FILE
from tests.support.node import FOLDER, needs_node
from tests.support.until import until


@needs_node
async def test_the_pages_example_is_called_back(stack: Stack, receiver: Receiver) -> None:
    """Its code as it stands there, on a running stack."""
    (code,) = re.findall(r"```js\n(.*?)```", FILE.read_text(), re.DOTALL)
    async with Corral(stack.api_url) as corral:
        source = await corral.upload(Path(str(files("corral") / "samples" / "plain.txt")))
    socket = unquote(urlsplit(stack.environment["CORRAL_REDIS_URL"]).path)
    given = json.dumps({"socket": socket, "code": code, "ref": source.ref, "url": receiver.url})
    node = await asyncio.create_subprocess_exec("node", "snippet.mjs", cwd=FOLDER, stdin=asyncio.subprocess.PIPE)
    await node.communicate(given.encode())
    assert node.returncode == 0
    await until(lambda: receiver.received, within_s=20)
    assert receiver.received[0].verified
    assert receiver.received[0].event["type"] == "job.completed"
