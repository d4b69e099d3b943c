"""docs/reference/callback-events.md and its schema show what is sent."""

import json
import re
from typing import get_args

import pytest
from pydantic import TypeAdapter
from standardwebhooks.webhooks import Webhook

from schemas.callback_event import AnyEvent
from schemas.envelope import EventType
from tests.support import callback_event_page


async def test_the_page_is_what_the_handlers_send() -> None:
    """Whoever changes an event writes the page anew: python -m tests.support.callback_event_page."""
    assert callback_event_page.PAGE.read_text() == await callback_event_page.page()


def test_the_schema_is_the_models() -> None:
    """It is in the repository, so that a change of the contract is seen in review."""
    assert callback_event_page.SCHEMA.read_text() == callback_event_page.schema()


@pytest.mark.parametrize("event", [name for part in get_args(EventType) for name in get_args(part)])
async def test_each_event_reads_back_as_what_it_says(event: EventType) -> None:
    """One reader takes all of them, told apart by `type`."""
    _, body = await callback_event_page.example(event)
    read = TypeAdapter(AnyEvent).validate_json(body)
    assert read.type == event
    assert read.model_dump(mode="json", exclude_none=True) == json.loads(body)


def test_the_pages_example_verifies() -> None:
    """With the secret and the library that the page names; its time is old, so only the signature is compared."""
    page = callback_event_page.PAGE.read_text()
    request = re.search(r"```http\n(.*?)\n\n(.*?)\n```", page, re.DOTALL)
    assert request is not None
    headers = dict(line.split(": ", 1) for line in request[1].splitlines()[1:])
    body, secret = request[2], re.search(r'Webhook\("(.*?)"\)', page)
    assert secret is not None
    sent_at = callback_event_page._ENDED
    assert headers["webhook-timestamp"] == str(int(sent_at.timestamp()))
    assert headers["webhook-signature"] == Webhook(secret[1]).sign(headers["webhook-id"], sent_at, body)
