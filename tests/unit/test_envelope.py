"""What lies beside a payload, and how data that anybody wrote is taken apart."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from schemas.envelope import DEFAULT_TENANT, KEY, OUTCOMES, Callback, Envelope
from schemas.errors import PayloadInvalid


class Greeting(BaseModel):
    """A payload."""

    name: str
    words: frozenset[str] = frozenset({"hello"})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def test_what_is_wrapped_is_what_is_unwrapped() -> None:
    """The payload comes back with what its caller set and nothing else, beside the same envelope."""
    envelope = Envelope(tenant="acme", callback=Callback.model_validate({"url": "https://example.org/a"}))
    data = envelope.wrap(Greeting(name="Ada"))

    assert data["name"] == "Ada"
    assert "words" not in data
    assert Envelope.unwrap(data) == (envelope, {"name": "Ada"})


def test_a_plain_payload_has_an_envelope_of_defaults() -> None:
    """What another program adds without an envelope belongs to the default tenant."""
    assert Envelope.unwrap({"name": "Ada"}) == (Envelope(), {"name": "Ada"})
    assert Envelope().tenant == DEFAULT_TENANT


@pytest.mark.parametrize("data", [None, 17, "text", ["list"]])
def test_data_that_is_no_object_is_refused(data: object) -> None:
    """A payload has fields; anything else is its sender's mistake, said by the type's name."""
    with pytest.raises(PayloadInvalid, match=type(data).__name__):
        Envelope.unwrap(data)


@pytest.mark.parametrize(
    "envelope",
    [{"version": 2}, {"tenant": ""}, {"tenant": "x" * 65}, {"unknown": 1}, {"callback": {"url": "ftp://x"}}, 17],
)
def test_an_envelope_that_nobody_knows_is_refused(envelope: object) -> None:
    """The fault is named, the value is not: it may be a secret."""
    with pytest.raises(PayloadInvalid, match="_corral: ") as refused:
        Envelope.unwrap({KEY: envelope})
    assert "ftp://x" not in str(refused.value)


def test_only_ten_faults_are_listed() -> None:
    """A message stays one readable line, however much is wrong."""
    with pytest.raises(PayloadInvalid) as refused:
        Envelope.unwrap({KEY: {f"unknown{number}": 1 for number in range(30)}})
    assert str(refused.value).count(";") == 9


def test_a_callback_tells_of_every_end_unless_it_chooses() -> None:
    """Without a choice all outcomes are sent; an empty choice is a mistake."""
    assert Callback.model_validate({"url": "https://example.org"}).events == OUTCOMES
    with pytest.raises(ValueError, match="events"):
        Callback.model_validate({"url": "https://example.org", "events": []})


@given(st.dictionaries(st.text().filter(lambda key: key != KEY), json_values))
def test_any_payload_survives(payload: dict[str, object]) -> None:
    """Whatever JSON object another program wrote comes out as it went in."""
    assert Envelope.unwrap(payload) == (Envelope(), payload)


@given(st.dictionaries(st.text(), json_values) | json_values)
def test_nothing_but_our_own_error_comes_of_foreign_data(data: object) -> None:
    """Any JSON is either understood or refused as invalid."""
    with suppress(PayloadInvalid):
        envelope, payload = Envelope.unwrap(data)
        assert KEY not in payload
        assert envelope.tenant
