"""Where callbacks go: endpoints and their secrets, who may be told now, and what came of every attempt."""
