"""One POST of a callback: what is noted of it, and for how long the receiver may keep us waiting."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from producers.callbacks.signing_key import SigningKey
from schemas.callback_attempt import CallbackAttempt
from tests.support.http_receiver import Answer, HttpReceiver
from worker.adapters.guarded_http import HttpPost
from worker.guarded_client import GuardedClient

KEY = SigningKey.new("hmac-sha256")


async def post(receiver: HttpReceiver, *answers: Answer, timeout_s: float = 5.0) -> CallbackAttempt:
    """POST once to a receiver that answers so."""
    receiver.answers = list(answers)
    async with GuardedClient(allow_loopback=True) as client:
        return await HttpPost(client, timeout_s=timeout_s)(receiver.url, [KEY], "msg_1", b'{"a": 1}')


async def test_an_attempt_says_what_was_sent_where_and_what_came_back(receiver: HttpReceiver) -> None:
    """Time, address, status, latency, what was signed and the beginning of the answer."""
    told = await post(receiver, Answer(202, text="thanks"))
    (request,) = receiver.requests
    assert (told.url, told.address, told.status, told.answer, told.error) == (
        receiver.url,
        "127.0.0.1",
        202,
        "thanks",
        None,
    )
    assert told.signature_base == f'msg_1.{request.headers["webhook-timestamp"]}.{{"a": 1}}'
    assert int(told.at.timestamp()) == int(request.headers["webhook-timestamp"])
    assert 0 < told.latency_s < 5


@pytest.mark.parametrize("status", [100, 300, 301, 302, 303, 304, 307, 308, 400, 401, 404, 429, 500, 502, 503, 504])
async def test_only_2xx_is_a_receipt(receiver: HttpReceiver, status: int) -> None:
    """Nothing else is, and no redirect is followed."""
    told = await post(receiver, Answer(status, headers=(("location", "/elsewhere"),)))
    assert told.error is not None
    assert told.error.code == "callback_rejected"
    assert [request.path for request in receiver.requests] == ["/callbacks"]


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_every_2xx_is_a_receipt(receiver: HttpReceiver, status: int) -> None:
    """Receivers answer what they like within it."""
    assert (await post(receiver, Answer(status))).error is None


async def test_410_is_a_no_for_good(receiver: HttpReceiver) -> None:
    """The receiver wants no more."""
    told = await post(receiver, Answer(410))
    assert told.error is not None
    assert told.error.code == "callback_refused"


@pytest.mark.parametrize(
    ("stated", "least_s", "most_s"),
    [
        ("7", 7, 7),
        ("0", 0, 0),
        ("999999", 3600, 3600),
        ("-5", 0, 0),
        ("soon", 0, 0),
        ("", 0, 0),
        ("1.5", 0, 0),
        ("²", 0, 0),
        ("9" * 5_000, 3600, 3600),
        (timedelta(seconds=90), 30, 90),
        (timedelta(days=-1), 0, 0),
        (timedelta(days=9), 3600, 3600),
        ("Fri, 31 Dec 1999 23:59:59", 0, 0),
    ],
)
async def test_retry_after_is_seconds_or_a_date_and_is_clamped_to_an_hour(
    receiver: HttpReceiver, stated: str | timedelta, least_s: float, most_s: float
) -> None:
    """Whatever it says, nobody waits for more than an hour for it, and nonsense is nothing."""
    if isinstance(stated, timedelta):
        stated = format_datetime(datetime.now(UTC) + stated, usegmt=True)
    told = await post(
        receiver, Answer(503, headers=(("retry-after", stated.encode("latin-1", "replace").decode("latin-1")),))
    )
    assert least_s <= told.retry_after_s <= most_s


async def test_secrets_and_control_characters_of_an_answer_are_hidden(receiver: HttpReceiver) -> None:
    """Receivers echo what they are sent; it is shown in a terminal and in a browser."""
    told = await post(receiver, Answer(500, text=f"{KEY.text} Authorization: Bearer abcdef \x1b[31m\n\0"))
    assert told.answer == "[redacted] Authorization: Bearer [redacted] \ufffd[31m\n\ufffd"


async def test_of_a_huge_answer_the_beginning_is_kept(receiver: HttpReceiver) -> None:
    """4 kB of it; of a gigabyte at most what the sockets hold is sent."""
    told = await post(receiver, Answer(200, size_bytes=1 << 30))
    assert (len(told.answer), told.error) == (4096, None)
    assert receiver.sent_bytes < 64 << 20


async def test_an_answer_that_trickles_is_not_waited_for(receiver: HttpReceiver) -> None:
    """Its status has come, and that is what counts."""
    told = await post(receiver, Answer(200, size_bytes=10, text="x", stalls=True))
    assert (told.status, told.answer, told.error) == (200, "x", None)
    assert told.latency_s < 2


async def test_a_receiver_that_never_answers_costs_no_more_than_its_time(receiver: HttpReceiver) -> None:
    """It is noted without a status."""
    told = await post(receiver, Answer(hangs=True), timeout_s=0.3)
    assert told.error is not None
    assert (told.status, told.error.message) == (None, "the other side took too long to answer")


async def test_a_connection_is_used_again(receiver: HttpReceiver) -> None:
    """Ten callbacks to one receiver take one connection."""
    receiver.keeps_alive = True
    async with GuardedClient(allow_loopback=True) as client:
        send = HttpPost(client)
        for number in range(10):
            receiver.answers.append(Answer(200, text="ok"))
            assert (await send(receiver.url, [KEY], f"msg_{number}", b"{}")).error is None
    assert (receiver.connections, len(receiver.requests)) == (1, 10)
