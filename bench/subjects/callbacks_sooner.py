"""A worker of callbacks as it ships, whose schedule of retries is shorter: ``... callbacks_sooner FACTOR``."""

import sys
from dataclasses import replace

import uvloop

from producers.log import configure
from schemas import settings as environment
from schemas.job_spec import RetrySchedule, catalogue
from schemas.jobs.callbacks import DELAYS_S, DELIVER
from worker import app
from worker.registry import load
from worker.settings import WorkerSettings


def _main(factor: float) -> None:
    settings = environment.load(WorkerSettings)
    configure(settings)
    sooner = replace(
        DELIVER, retry=RetrySchedule(tuple(delay_s / factor for delay_s in DELAYS_S), DELIVER.retry.jitter)
    )
    uvloop.run(app.run(settings, load({**catalogue(), DELIVER.kind: sooner}, [DELIVER.queue])))


if __name__ == "__main__":
    _main(float(sys.argv[1]))
