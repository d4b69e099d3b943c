"""Keeps out of a worker process what its libraries load only because it is installed: 7 MB."""

import sys

_UNWANTED = (
    "opentelemetry.sdk.metrics",  # redis-py, for metrics of its own; our traces do without
    "pygments",  # httpx, for its command line
    "rich",  # httpx for the same, structlog for traces that we write as plain text
)


def keep_out() -> None:
    """Say that these modules are not there, for the whole process and before anything else is imported."""
    # None is Python's own way to say so: an import of the name fails as that of any missing module.
    sys.modules |= dict.fromkeys(_UNWANTED)  # type: ignore[arg-type]
