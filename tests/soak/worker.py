"""``python -m tests.soak.worker [QUEUE...]``: the worker as it is deployed, with the soak's kinds beside its own."""

from schemas.job_spec import catalogue
from tests.soak.kind import ENTRIES
from tests.support.worker_command import worker_command
from worker.registry import Entry, load

DELIVER, CONVERT = ("callbacks", "deliver"), ("documents", "convert")


def entries() -> list[Entry]:
    """Give the soak's kinds, and of Corral's own those that it asks for."""
    own = load(catalogue(), [queue for queue, _ in (DELIVER, CONVERT)])
    return [*ENTRIES, own.find(*DELIVER), own.find(*CONVERT)]


if __name__ == "__main__":
    worker_command("tests.soak.worker", entries)()
