"""Corral's way in with a callback for each job: a flow of two, in one transaction."""

from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from bench.subjects import corral_full
from bench.subjects.harness import Add, Config, main
from schemas.envelope import Callback

_CALLBACK = Callback.model_validate({"url": "https://receiver.example/hook"})


def producer(config: Config) -> AbstractAsyncContextManager[Add]:
    """Add each job with the one that will call back."""
    return corral_full.producer(config, lambda order: replace(order, callback=_CALLBACK))


if __name__ == "__main__":
    main(producer, corral_full.work)
