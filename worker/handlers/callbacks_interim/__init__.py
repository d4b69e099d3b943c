"""Handlers of the queue ``callbacks-interim``."""
