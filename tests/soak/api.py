"""``python -m tests.soak.api``: the API as it is deployed, with the soak's kinds beside its own."""

import signal

from fastapi import FastAPI

from producers.__main__ import run
from producers.api import app
from producers.child_process import die_with_parent
from producers.settings import ApiSettings
from schemas import settings as environment
from schemas.job_spec import catalogue
from tests.soak.kind import SPECS


def create() -> FastAPI:
    """Make the app, in each process of the server."""
    return app.create({**catalogue(), **SPECS})


if __name__ == "__main__":
    die_with_parent(signal.SIGKILL)
    run(environment.load(ApiSettings), "tests.soak.api:create")
