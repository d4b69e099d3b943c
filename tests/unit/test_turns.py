"""Senders to one target take turns within a process, and none waits for long."""

import asyncio
import gc

import pytest

from tests.support.until import until
from worker.turns import Turns


async def test_no_more_have_a_turn_at_once_than_may() -> None:
    """And each gets one when those before are quick."""
    turns, running, most = Turns(patience_s=30), 0, 0

    async def send() -> bool:
        nonlocal running, most
        async with turns.turn("target", 3) as has_turn:
            running += 1
            most = max(most, running)
            for _ in range(3):
                await asyncio.sleep(0)
            running -= 1
        return has_turn

    assert all(await asyncio.gather(*(send() for _ in range(20))))
    assert most == 3


async def test_who_waits_in_vain_goes_without_a_turn() -> None:
    """The limit is the gate's to hold; another target's line is its own."""
    turns, done = Turns(patience_s=0.01), asyncio.Event()

    async def hold() -> None:
        async with turns.turn("slow", 1):
            await done.wait()

    holding = asyncio.create_task(hold())
    await until(lambda: len(turns._lines) == 1)
    async with turns.turn("slow", 1) as has_turn, turns.turn("other", 1) as of_other:
        assert (has_turn, of_other) == (False, True)
    done.set()
    await holding
    async with turns.turn("slow", 1) as has_turn:
        assert has_turn


async def test_a_turn_ends_with_its_block_however_that_ends() -> None:
    """An error in between gives the place back, and a line without anybody is forgotten."""
    turns = Turns(patience_s=0.01)

    async def fail() -> None:
        async with turns.turn("target", 1) as has_turn:
            assert has_turn
            raise OSError("no")

    for _ in range(3):
        with pytest.raises(OSError, match="no"):
            await fail()
    gc.collect()
    assert not turns._lines
