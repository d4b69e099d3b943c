"""Handlers of the queue ``documents``."""
