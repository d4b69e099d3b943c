"""What every measured program does alike: it fills, works, stays, enqueues or paces, and says what that took.

A program is ``python -m bench.subjects.NAME TASK CONFIG`` (CONFIG is JSON, see `Config`). It gives two
functions: ``producer`` opens a way to add jobs, ``work`` runs jobs and tells ``on_job`` of each. The harness
prints JSON lines: ``{"event": "begin"}`` when the warm-up is over and ``{"event": "end", ...}`` with figures.
One that is to ``stay`` works until it is ended and says nothing.
"""

import asyncio
import inspect
import itertools
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import uvloop

Payload = dict[str, Any]
Add = Callable[[Payload, float], Awaitable[object]]
OnJob = Callable[[Payload], None]

_IN_FLIGHT = 100


@dataclass(frozen=True)
class Config:
    """What one run measures. ``pace_s`` is the rate of additions, ``delay_s`` how far ahead jobs are due."""

    port: int
    queue: str
    jobs: int
    warm_up: int
    concurrency: int
    rate: float = 50.0
    delay_s: float = 0.0

    @property
    def url(self) -> str:
        """Where the server is."""
        return f"redis://127.0.0.1:{self.port}/0"


def payload(due_s: float = 0.0) -> Payload:
    """Make what a job carries: 90 bytes of JSON, with the time in ms when it may begin."""
    return {"t": round((time.time() + due_s) * 1000, 3), "pad": "x" * 55}


class Meter:
    """Counts jobs from any thread; it speaks at the end of the warm-up and of the measured jobs, then ends all."""

    def __init__(self, config: Config) -> None:
        """Begin before the warm-up."""
        self._config = config
        self._numbers = itertools.count()
        self._late_ms: list[float] = []
        self._begun = self._used = 0.0

    def on_job(self, carried: Payload) -> None:
        """Count a job that begins now."""
        number = next(self._numbers)
        if number >= self._config.warm_up:
            self._late_ms.append(time.time() * 1000 - carried["t"])
        if number == self._config.warm_up:
            self._begun, self._used = time.perf_counter(), time.process_time()
            _say(event="begin")
        elif number == self._config.warm_up + self._config.jobs:
            self._end()

    def _end(self) -> None:
        took_s, used_s = time.perf_counter() - self._begun, time.process_time() - self._used
        late = sorted(self._late_ms)
        _say(
            event="end",
            rate=self._config.jobs / took_s,
            cpu_us=used_s / self._config.jobs * 1e6,
            p50_ms=late[len(late) // 2],
            p99_ms=late[int(len(late) * 0.99)],
        )
        os._exit(0)  # what is left in the queue is nobody's to wait for


def main(
    producer: Callable[[Config], AbstractAsyncContextManager[Add]],
    work: Callable[[Config, OnJob], Awaitable[None] | None],
) -> None:
    """Do the task that the command line names."""
    task, config = sys.argv[1], Config(**json.loads(sys.argv[2]))
    if task in {"work", "stay"}:
        on_job = Meter(config).on_job if task == "work" else lambda _: None
        if inspect.iscoroutinefunction(work):
            uvloop.run(work(config, on_job))
        else:
            work(config, on_job)
        return
    uvloop.run({"fill": _fill, "enqueue": _enqueue, "pace": _pace}[task](producer, config))


async def _fill(producer: Callable[[Config], AbstractAsyncContextManager[Add]], config: Config) -> None:
    async with producer(config) as add:
        await _add_many(add, config.jobs + config.warm_up + config.concurrency + 10)


async def _enqueue(producer: Callable[[Config], AbstractAsyncContextManager[Add]], config: Config) -> None:
    async with producer(config) as add:
        await _add_many(add, config.warm_up)
        for case, in_flight in (("serial", 1), ("concurrent", _IN_FLIGHT)):
            _say(event="begin")
            begun, used = time.perf_counter(), time.process_time()
            await _add_many(add, config.jobs, in_flight)
            took_s, used_s = time.perf_counter() - begun, time.process_time() - used
            _say(event="end", case=case, rate=config.jobs / took_s, cpu_us=used_s / config.jobs * 1e6)


async def _pace(producer: Callable[[Config], AbstractAsyncContextManager[Add]], config: Config) -> None:
    async with producer(config) as add:
        begun = time.monotonic()
        for number in range(config.warm_up + config.jobs + 1):
            await asyncio.sleep(max(0.0, begun + number / config.rate - time.monotonic()))
            await add(payload(config.delay_s), config.delay_s)


async def _add_many(add: Add, count: int, in_flight: int = _IN_FLIGHT) -> None:
    left = itertools.repeat(None, count)

    async def adder() -> None:
        for _ in left:
            await add(payload(), 0.0)

    await asyncio.gather(*(adder() for _ in range(in_flight)))


def _say(**figures: object) -> None:
    # Some of the peers put a logger in the place of sys.stdout.
    os.write(1, (json.dumps(figures) + "\n").encode())
