"""What a worker's exit code says to whoever started it; docs/reference/worker.md explains them."""

STOPPED = 0
START_ANEW = 1
MISCONFIGURED = 2
