"""How long a request waits for the queue's server, on a machine that has other things to do."""

import asyncio
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from fastapi import Request

from producers.api.engine_time import SILENCE_S, engine_time
from schemas.errors import EngineUnavailable


@contextmanager
def crowded_core(rivals: int = 4) -> Iterator[None]:
    """Share one core with processes that never rest."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        with ExitStack() as stack:
            for _ in range(rivals):
                rival = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
                stack.callback(rival.kill)
            yield
    finally:
        os.sched_setaffinity(0, allowed)


async def work(seconds: float) -> None:
    """Keep this thread at work for so much of its own time, turn by turn."""
    end_s = time.thread_time() + seconds
    while time.thread_time() < end_s:  # noqa: ASYNC110 - what is waited for is that it works
        await asyncio.sleep(0)


@pytest.mark.skipif(
    not Path("/proc/thread-self/schedstat").exists(),
    reason="the system does not tell how long a thread waits for a core",
)
async def test_what_others_take_of_the_core_is_not_the_servers_silence() -> None:
    """A burst of requests on a busy machine takes long, and none is refused for it."""
    with crowded_core():
        begun_s = time.monotonic()
        async with engine_time(Request({"type": "http"})):
            await work(0.2)
        taken_s = time.monotonic() - begun_s
    assert taken_s - 0.2 > SILENCE_S


async def test_silence_ends_the_wait() -> None:
    """However often the request asks: what it has waited is counted together."""
    request = Request({"type": "http"})
    async with engine_time(request):
        await asyncio.sleep(0)
    with pytest.raises(EngineUnavailable):
        async with engine_time(request):
            await asyncio.Event().wait()


async def test_a_process_without_a_descriptor_left_goes_on_by_its_own_time() -> None:
    """As one does on a system that does not tell."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        async with engine_time(Request({"type": "http"})):
            await asyncio.sleep(0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
