"""How a process of ours is told to stop: once to end in order, twice to end at once."""

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class StopSignals:
    """Set by the first and by the second SIGTERM or SIGINT."""

    first: asyncio.Event
    second: asyncio.Event

    @classmethod
    def listen(cls, told: Callable[[], None] = lambda: None) -> Self:
        """Listen on the running loop; ``told`` hears of every signal, after the event is set."""
        signals = cls(asyncio.Event(), asyncio.Event())

        def received() -> None:
            (signals.second if signals.first.is_set() else signals.first).set()
            told()

        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, received)
        return signals
