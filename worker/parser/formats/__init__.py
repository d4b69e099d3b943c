"""Which format a file has, whether it is safe to read, and the readers of all but PDF."""
