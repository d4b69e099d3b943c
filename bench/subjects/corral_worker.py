"""Corral's worker process as it is deployed, with its watchdog, heartbeat and callbacks; it only stays."""

import json
import sys

import uvloop
from pydantic import BaseModel

from bench.subjects.harness import Config
from schemas.job_spec import JobSpec, catalogue
from worker.unwanted_library import keep_out


class Noop(BaseModel):
    """A job that does nothing."""

    t: float
    pad: str


class Done(BaseModel):
    """What it gives."""


async def handle(_payload: Noop, _job: object) -> Done:
    """Do nothing."""
    return Done()


def main() -> None:
    """Begin as ``python -m worker callbacks`` does, with one kind more."""
    keep_out()
    from producers import log  # noqa: PLC0415 - after what is kept out
    from worker import app  # noqa: PLC0415 - as above
    from worker.registry import Entry, Registry, load  # noqa: PLC0415 - as above
    from worker.settings import WorkerSettings  # noqa: PLC0415 - as above

    config = Config(**json.loads(sys.argv[2]))
    settings = WorkerSettings(
        redis_url=config.url,
        callback_secret="whsec_" + "A" * 32,
        concurrency={config.queue: config.concurrency},
        log_format="json",
    )
    log.configure(settings)
    callbacks = load(catalogue(), ["callbacks"])
    noop = Entry(JobSpec(kind=f"{config.queue}.noop", payload=Noop, result=Done), handle, frozenset())
    uvloop.run(app.run(settings, Registry([noop, callbacks.find("callbacks", "deliver")])))


if __name__ == "__main__":
    main()
