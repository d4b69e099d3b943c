"""``python -m worker [QUEUE...]``: takes jobs from the queues named, or from all."""

import sys

# What libraries load for no other reason than that it is installed: together 7 MB.
_UNWANTED = (
    "opentelemetry.sdk.metrics",  # redis-py, for metrics of its own; our traces do without
    "pygments",  # httpx, for its command line
    "rich",  # httpx for the same, structlog for traces that we write as plain text
)

if __name__ == "__main__":
    # None is Python's own way to say that a module is not there.
    sys.modules |= dict.fromkeys(_UNWANTED)  # type: ignore[arg-type]

    from worker.command import main

    main()
