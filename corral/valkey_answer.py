"""What the server behind a socket says about itself, if one answers.

Two commands, spoken plainly: a client library would be loaded for every start of the launcher, and
would try again where "not yet" is the answer that is wanted.
"""

import socket
from dataclasses import dataclass
from pathlib import Path

_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class Answer:
    """What a running server says about itself; ``port`` is None when it listens on its socket only."""

    pid: int
    port: int | None


def ask(path: Path) -> Answer | None:
    """Give the server's answer; None when there is none, or when it is still loading its data."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_TIMEOUT_S)
            connection.connect(str(path))
            connection.sendall(b"PING\r\nINFO server\r\n")
            with connection.makefile("rb") as replies:
                if replies.readline() != b"+PONG\r\n":
                    return None
                length = int(replies.readline().removeprefix(b"$"))
                return _answer(replies.read(length).decode())
    except (OSError, ValueError, KeyError):
        # Refused, gone in mid-sentence, or speaking something else: no server that we could use.
        return None


def _answer(text: str) -> Answer:
    facts = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return Answer(pid=int(facts["process_id"]), port=int(facts["tcp_port"]) or None)
