"""Handlers of the queue ``callbacks``."""
