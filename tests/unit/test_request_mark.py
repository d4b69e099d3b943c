"""How a request is known again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.api.request_mark import mark, request_id, traceparent

GOOD = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def scope(given_id: str | None = None) -> dict[str, object]:
    """Give a request's scope."""
    headers = [] if given_id is None else [(b"x-request-id", given_id.encode("latin-1", "replace"))]
    return {"type": "http", "headers": headers}


def test_a_callers_own_id_is_kept() -> None:
    """Its logs and ours then say the same."""
    found = scope("web-1.abc_42")
    assert mark(found) == request_id(found) == "web-1.abc_42"


@given(st.text(max_size=80).filter(lambda text: not text.replace("_", "").replace("-", "").replace(".", "").isalnum()))
def test_an_id_that_could_break_a_log_line_is_replaced(given_id: str) -> None:
    """Every request has an id of harmless characters."""
    found = mark(scope(given_id))
    assert len(found) == 26
    assert found.isalnum()


def test_no_two_requests_get_one_id() -> None:
    """An id finds one request."""
    assert len({mark(scope()) for _ in range(100)}) == 100


def test_an_unmarked_request_has_no_id() -> None:
    """Nothing is made up afterwards."""
    assert request_id({"type": "http"}) == ""


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        "",
        "x",
        GOOD.upper(),
        f"{GOOD}-more",
        "01" + GOOD[2:],
        GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32),
    ],
)
def test_a_malformed_trace_is_ignored(wrong: str | None) -> None:
    """As the standard asks: the request goes on without one."""
    assert traceparent(wrong) is None


def test_a_trace_is_kept() -> None:
    """It reaches the worker as the caller sent it."""
    assert traceparent(GOOD) == GOOD
