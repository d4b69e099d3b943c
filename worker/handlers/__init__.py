"""What the jobs do: one folder per queue, one module per kind."""
