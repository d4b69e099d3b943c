"""Who follows a tenant's callbacks in a program: told from when on, and told why not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from producers.callback_client import sent_callbacks
from producers.client import ApiRefused, ApiUnreachable, Corral
from schemas.sent_callback import SentCallback
from tests.support.until import until

SENT = SentCallback(url="https://example.org/", headers={"webhook-id": "1"}, body="{}")
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
LISTENING = b"event: listening\ndata: {}\n\n"
HEARD = f"event: callback\ndata: {SENT.model_dump_json()}\nid: 7-1\n\n".encode()
BUSY = b'HTTP/1.1 429 Too Many Requests\r\nconnection: close\r\n\r\n{"code": "too_many_listeners", "detail": "enough"}'


@asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[tuple[Corral, list[str]]]:
    """An API that gives these answers, one to each request; and the requests that came."""
    left, requests = list(answers), list[str]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(left.pop(0))
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with Corral(f"http://127.0.0.1:{port}") as corral:
            yield corral, requests


async def test_a_stream_that_ends_is_taken_up_where_it_was() -> None:
    """Also past an API that still counts the connection that broke."""
    async with answering(HEAD + LISTENING + HEARD, BUSY, HEAD + LISTENING + HEARD) as (corral, requests):
        events = sent_callbacks(corral)
        heard = [await anext(events) for _ in range(4)]
        await events.aclose()
    assert heard == [None, SENT, None, SENT]
    assert [request.lower().partition("last-event-id: ")[2][:3] for request in requests] == ["", "7-1", "7-1"]


async def test_a_refusal_at_the_start_is_one() -> None:
    """Nobody waits for what may never come."""
    async with answering(BUSY) as (corral, _):
        with pytest.raises(ApiRefused, match="enough"):
            await anext(sent_callbacks(corral))


async def test_a_refusal_that_does_not_pass_ends_it() -> None:
    """A token that was taken away is no outage."""
    gone = BUSY.replace(b"429 Too Many Requests", b"401 Unauthorized").replace(b"too_many_listeners", b"unauthorized")
    async with answering(HEAD + LISTENING, gone) as (corral, requests):
        events = sent_callbacks(corral)
        assert await anext(events) is None
        with pytest.raises(ApiRefused):
            await anext(events)
        await until(lambda: len(requests) == 2)


async def test_an_api_that_breaks_off_is_sought_again_and_one_that_never_answered_is_not() -> None:
    """The first says where nobody is."""
    async with answering(b"", HEAD + LISTENING, b"", HEAD + LISTENING) as (corral, _):
        with pytest.raises(ApiUnreachable, match=r"http://127\.0\.0\.1"):
            await anext(sent_callbacks(corral))
        events = sent_callbacks(corral)
        assert [await anext(events) for _ in range(2)] == [None, None]
        await events.aclose()
