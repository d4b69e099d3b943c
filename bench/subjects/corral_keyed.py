"""Corral's way in with an idempotency key for each job: a claim before the job, and a note after it."""

import itertools
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from bench.subjects import corral_full
from bench.subjects.harness import Add, Config, main


def producer(config: Config) -> AbstractAsyncContextManager[Add]:
    """Add each job under a key of its own."""
    numbers = itertools.count()
    return corral_full.producer(config, lambda order: replace(order, idempotency_key=str(next(numbers))))


if __name__ == "__main__":
    main(producer, corral_full.work)
