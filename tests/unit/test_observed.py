"""What an attempt's watcher reads of a job, whoever wrote it."""

from typing import Any

import pytest
import structlog

from producers.trace import Off, current
from schemas.outcome import Completed, Outcome
from tests.support.delivery import delivery
from tests.support.fleet import entry, spec, succeed
from worker.context import Delivery
from worker.metrics import WorkerMetrics
from worker.observed import Observed
from worker.registry import Registry

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def observed(seen: list[Any]) -> Observed:
    """Watch an attempt that notes what it knows of its trace."""

    async def attempt(_: Delivery) -> Outcome:
        seen.append((current(), structlog.contextvars.get_contextvars()))
        return Completed.of(spec().result())

    registry = Registry([entry(succeed)])
    return Observed(attempt, registry, WorkerMetrics(registry), Off())


async def test_a_callers_trace_is_in_the_log_also_when_nothing_is_traced() -> None:
    """And is gone after the attempt: the next job of the same task has its own."""
    seen: list[Any] = []
    await observed(seen)(delivery(data={"_corral": {"traceparent": TRACEPARENT}}))
    marks = {"trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331"}
    assert seen == [(TRACEPARENT, marks)]
    assert (current(), structlog.contextvars.get_contextvars()) == (None, {})


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"_corral": 7},
        {"_corral": {"traceparent": 7}},
        {"_corral": {"traceparent": "00-xyz"}},
        {"_corral": {"traceparent": TRACEPARENT + "\n"}},
    ],
)
async def test_what_is_no_trace_is_none(data: object) -> None:
    """The job is attempted all the same, and says itself what is wrong with it."""
    seen: list[Any] = []
    await observed(seen)(delivery(data=data))
    assert seen == [(None, {})]
