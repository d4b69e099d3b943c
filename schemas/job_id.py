"""How a job is named: ``<queue>_<26 characters>``, so that its id alone leads to it.

An id must not hold ``:``, which separates the engine's keys. The characters are those of a ULID:
in order of time for a new job, derived from tenant, kind and key where the caller gave an
``Idempotency-Key``, so that the same request always means the same job.
"""

import hashlib

from ulid import ULID


def new(queue: str) -> str:
    """Make the id of a job that has no idempotency key."""
    return f"{queue}_{str(ULID()).lower()}"


def derived(queue: str, *identity: str) -> str:
    """Make the id that belongs to an identity, for instance (tenant, kind, key).

    The parts are joined with a separator that none of them can hold, hashed with SHA-256, and cut
    to the 128 bits of a ULID.
    """
    digest = hashlib.sha256("\x00".join(identity).encode()).digest()
    return f"{queue}_{str(ULID.from_bytes(digest[:16])).lower()}"


def public(queue: str, engine_id: str) -> str:
    """Name a job that anybody may have added: an engine's own id, say ``17``, gets its queue."""
    return engine_id if engine_id.startswith(f"{queue}_") else f"{queue}_{engine_id}"


def queue_of(job_id: str) -> str:
    """Give the queue that a public id names; empty when it names none."""
    return job_id.partition("_")[0] if "_" in job_id else ""


def engine_ids(job_id: str) -> tuple[str, str]:
    """Give the two engine ids that a public id may stand for, the likelier first."""
    return job_id, job_id.partition("_")[2]
