"""The HTTP API: what a request passes, and what each route does. Nothing outside this package knows HTTP."""
