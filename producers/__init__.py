"""IN: the API, and the one way by which a job enters a queue."""
