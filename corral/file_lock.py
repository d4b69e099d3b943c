"""Locks on files, which end with their holder however it ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path) -> Iterator[int | None]:
    """Hold the file's lock and give its descriptor, or give None when it is held elsewhere.

    A child that inherits the descriptor holds the lock too, for as long as it lives.
    """
    with _descriptor(path) as descriptor:
        if not _try(descriptor, fcntl.LOCK_EX):
            yield None
            return
        try:
            yield descriptor
        finally:
            # Unlocked by word, not by closing: a forked child may still hold a copy of the descriptor.
            fcntl.flock(descriptor, fcntl.LOCK_UN)


def is_held(path: Path) -> bool:
    """Tell whether somebody holds the file's lock; those who only ask do not disturb each other."""
    with _descriptor(path) as descriptor:
        return not _try(descriptor, fcntl.LOCK_SH)


@contextmanager
def _descriptor(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _try(descriptor: int, operation: int) -> bool:
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
