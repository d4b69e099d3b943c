"""One outside system per file, each filling a port of ``worker.ports``; only ``worker.app`` imports them."""
