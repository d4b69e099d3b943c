"""How a job is named: ``<queue>_<26 characters>``, so that its id alone leads to it.

An id must not hold ``:``, which separates the engine's keys. The characters are those of a ULID,
so new ids are in the order of time.
"""

from ulid import ULID


def new(queue: str) -> str:
    """Make the id of a new job."""
    return f"{queue}_{str(ULID()).lower()}"


def public(queue: str, engine_id: str) -> str:
    """Name a job that anybody may have added: an engine's own id, say ``17``, gets its queue."""
    return engine_id if engine_id.startswith(f"{queue}_") else f"{queue}_{engine_id}"


def queue_of(job_id: str) -> str:
    """Give the queue that a public id names; empty when it names none."""
    return job_id.partition("_")[0] if "_" in job_id else ""


def engine_ids(job_id: str) -> tuple[str, str]:
    """Give the two engine ids that a public id may stand for, the likelier first."""
    return job_id, job_id.partition("_")[2]
