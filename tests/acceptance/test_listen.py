"""docs/howto/listen.md: its commands run, and the laptop gets what the receiver gets."""

import asyncio
import re
import shlex
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from corral.receiver import Receiver, receiving
from corral.stack import Stack, free_port
from tests.support.command import ROOT, corral
from tests.support.fault_proxy import fault_proxy
from tests.support.http_receiver import Answer
from tests.support.http_receiver import receiving as receiving_as_told
from tests.support.until import until

PAGE = (ROOT / "docs" / "howto" / "listen.md").read_text()
LISTEN, ENQUEUE = re.findall(r"^    corral (.*)$", PAGE, re.MULTILINE)


@asynccontextmanager
async def listening(api_url: str, command: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a command that listens, from its first word on; end it by Ctrl-C, and that is its good end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "corral", *shlex.split(command), "--api", api_url),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    said = await asyncio.wait_for(process.stderr.readline(), 20)
    assert said.decode().startswith(f"listening at {api_url}; callbacks go to ")
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        _, complaints = await process.communicate()
    assert (process.returncode, complaints) == (0, b"")


async def line(process: asyncio.subprocess.Process) -> list[str]:
    """Give the words of the next line that a command prints, after the time."""
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), 30)).decode().split()[1:]


async def test_the_pages_commands_bring_a_callback_to_the_laptop(stack: Stack, receiver: Receiver) -> None:
    """The same event under the same id, verified by the same secret, at both ends."""
    command = ENQUEUE.replace("http://localhost:4000/hook", receiver.url)
    with receiving(stack.callback_secret) as laptop:
        async with listening(stack.api_url, LISTEN.replace("http://localhost:3000/hook", laptop.url)) as process:
            ended = await corral(*shlex.split(command), "--api", stack.api_url)
            assert ended.code == 0, ended.err
            said = await line(process)
            await until(lambda: bool(receiver.received))
    (forwarded,) = laptop.received
    (delivered,) = receiver.received
    assert forwarded.verified
    assert (forwarded.webhook_id, forwarded.event) == (delivered.webhook_id, delivered.event)
    assert said == ["job.completed", forwarded.webhook_id, "204"]


async def test_a_laptop_without_a_receiver_is_told_so(stack: Stack, receiver: Receiver) -> None:
    """And the command goes on; so does the callback to its own address."""
    command = ENQUEUE.replace("http://localhost:4000/hook", receiver.url)
    async with listening(stack.api_url, f"listen --forward-to http://127.0.0.1:{free_port()}") as process:
        await corral(*shlex.split(command), "--api", stack.api_url)
        assert (await line(process))[2:] == ["no", "answer", "(ConnectError)"]
        assert process.returncode is None
    await until(lambda: bool(receiver.received))


async def test_it_ends_quietly_while_the_laptop_is_still_answering(stack: Stack, receiver: Receiver) -> None:
    """Ctrl-C in the middle of a callback, as in a pause."""
    command = ENQUEUE.replace("http://localhost:4000/hook", receiver.url)
    async with receiving_as_told() as laptop:
        laptop.answers = [Answer(hangs=True)]
        async with listening(stack.api_url, f"listen --forward-to {laptop.url}"):
            await corral(*shlex.split(command), "--api", stack.api_url)
            await until(lambda: bool(laptop.requests))
    # One that is still to be sent would be sent again while another test listens.
    await until(lambda: bool(receiver.received))


async def test_what_was_sent_while_the_connection_was_broken_comes_afterwards(stack: Stack, receiver: Receiver) -> None:
    """Nothing twice, in its order; the listener is told that it listens again, and that is all."""
    command = ENQUEUE.replace("http://localhost:4000/hook", receiver.url)
    port = int(stack.api_url.rpartition(":")[2])
    async with fault_proxy(port) as proxy:
        with receiving(stack.callback_secret) as laptop:
            async with listening(f"http://127.0.0.1:{proxy.port}", f"listen --forward-to {laptop.url}") as process:
                await corral(*shlex.split(command), "--api", stack.api_url)
                await until(lambda: len(laptop.received) == 1, within_s=30)
                proxy.refuse()
                proxy.cut()
                await corral(*shlex.split(command), "--api", stack.api_url)
                await until(lambda: len(receiver.received) == 2, within_s=30)
                proxy.accept()
                await until(lambda: len(laptop.received) == 2, within_s=30)
                assert process.stderr is not None
                assert (await process.stderr.readline()).startswith(b"listening at ")
    assert [one.webhook_id for one in laptop.received] == [one.webhook_id for one in receiver.received]


@pytest.mark.parametrize("address", ["localhost:3000", "ftp://localhost/", "http://", "http://[", "file:///etc/passwd"])
async def test_an_address_that_is_none_is_refused(address: str) -> None:
    """Before anything is asked of the API."""
    ended = await corral("listen", "--forward-to", address, "--api", f"http://127.0.0.1:{free_port()}")
    assert ended.code == 2
    assert "--forward-to" in ended.err
    assert "Traceback" not in ended.err


async def test_an_api_that_is_not_there_is_said() -> None:
    """In one line."""
    gone = await corral("listen", "--forward-to", "http://localhost:3000", "--api", f"http://127.0.0.1:{free_port()}")
    assert (gone.code, "api_unreachable" in gone.err, "Traceback" in gone.err) == (1, True, False)
