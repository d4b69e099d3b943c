"""Handlers of the queue ``schedules``."""
