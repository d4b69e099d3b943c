"""When a process that has ended is started anew."""

import os
import signal
from collections.abc import Iterator

import pytest

from corral.supervised import SupervisedProcess
from producers.restart import RestartDelay
from tests.support.until import until_sync


class Clock:
    """A clock that goes when it is told."""

    def __init__(self) -> None:
        """Begin at zero."""
        self.now_s = 0.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    """The clock of the test."""
    return Clock()


@pytest.fixture
def sleeper(clock: Clock) -> Iterator[SupervisedProcess]:
    """A process of ours that does nothing for an hour."""
    process = SupervisedProcess("sleeper", ["-c", "import time; time.sleep(3600)"], dict(os.environ), clock=clock)
    yield process
    process.stop()


def test_each_wait_is_twice_the_last_up_to_half_a_minute() -> None:
    """A broken process does not burn a core."""
    delay = RestartDelay()
    assert [delay.after(0.1) for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]


def test_a_life_of_more_than_ten_seconds_begins_the_waits_anew() -> None:
    """What it has waited before is forgotten, and what follows doubles again."""
    delay = RestartDelay()
    assert [delay.after(lived_s) for lived_s in (0, 0, 10, 10.1, 0, 0)] == [0.5, 1, 2, 0.5, 1, 2]


def test_one_that_has_run_well_is_started_anew_at_once(sleeper: SupervisedProcess, clock: Clock) -> None:
    """Two early deaths cost 0.5 s and 1 s; the one after a long life 0.5 s again."""
    told = [killed(sleeper, clock, lives_s) for lives_s in (0, 0, 3600)]
    assert [line.rpartition("in ")[2] for line in told] == ["0.5 s", "1 s", "0.5 s"]


def test_it_stays_down_until_its_time_has_come(sleeper: SupervisedProcess, clock: Clock) -> None:
    """Not before the wait is over, and then with a number of its own."""
    dead = sleeper.pid
    os.kill(dead, signal.SIGKILL)
    until_sync(sleeper.mend)
    clock.now_s += 0.4
    assert (sleeper.mend(), sleeper.pid) == (None, dead)
    clock.now_s += 0.2
    assert sleeper.mend() == f"sleeper started again (pid {sleeper.pid})"
    assert sleeper.exit_code is None


def killed(process: SupervisedProcess, clock: Clock, lives_s: float) -> str:
    """Kill it after a life of so many seconds, have it started anew, and give what was said of its end."""
    clock.now_s += lives_s
    os.kill(process.pid, signal.SIGKILL)
    said = until_sync(process.mend)
    clock.now_s += 60
    assert "started again" in str(process.mend())
    return str(said)
