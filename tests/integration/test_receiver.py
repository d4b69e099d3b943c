"""The receiver that the demo and the tests have: a sender may die in the middle of anything."""

import socket
import struct

import pytest

from corral.receiver import Receiver, receiving
from corral.stack import new_secret
from tests.support.until import until

BODY = b'{"type": "whole"}'
HEAD = b"POST /callbacks HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(BODY)
RESET = struct.pack("ii", 1, 0)


def hang_up(receiver: Receiver, sent: bytes, *, reset: bool) -> None:
    """Send something, and be gone."""
    port = int(receiver.url.split(":")[2].split("/")[0])
    with socket.create_connection(("127.0.0.1", port)) as sender:
        sender.sendall(sent)
        if reset:
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


@pytest.mark.parametrize("sent", [b"POST /call", HEAD, HEAD + BODY[:5]], ids=["in the head", "between", "in the body"])
@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
async def test_a_sender_that_hangs_up_is_not_heard(
    sent: bytes, capfd: pytest.CaptureFixture[str], *, reset: bool
) -> None:
    """Half a callback is none, and nobody need read of it."""
    with receiving(new_secret()) as receiver:
        hang_up(receiver, sent, reset=reset)
        hang_up(receiver, HEAD + BODY, reset=False)
        await until(lambda: receiver.received)
    assert [callback.event for callback in receiver.received] == [{"type": "whole"}]
    assert capfd.readouterr().err == ""
