"""One module per queue; each kind of job is one ``JobSpec`` in it."""
