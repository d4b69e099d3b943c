"""A resolver of names that answers as a test says: no test asks a name server."""

import socket
from collections.abc import Iterable


class StubResolver:
    """Stands in for ``socket.getaddrinfo``; gives the addresses in turn, and the last one for ever."""

    def __init__(self, *addresses: str) -> None:
        """Answer with these addresses."""
        self._addresses = list(addresses)

    def __call__(
        self, _host: str, port: int, *_: object, **__: object
    ) -> Iterable[tuple[int, int, int, str, tuple[str, int]]]:
        """Resolve any name."""
        address = self._addresses.pop(0) if len(self._addresses) > 1 else self._addresses[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))]
