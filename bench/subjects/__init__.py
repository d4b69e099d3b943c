"""One program per system that is measured; each runs as a process of its own and speaks `harness.py`'s words."""
