"""Two requests are told apart by what they say, not by the process that reads them."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from producers.enqueue import Order, fingerprint
from schemas.envelope import Callback, Limits
from schemas.jobs.documents import CONVERT, ConvertDocument

_SOURCE = {"file": f"sha256-{'0' * 64}"}
_PROGRAM = """
from producers.enqueue import Order, fingerprint
from schemas.jobs.documents import CONVERT, ConvertDocument
options = {"outputs": ["text", "json", "markdown"]}
payload = ConvertDocument.model_validate({"source": {"file": "sha256-" + "0" * 64}, "options": options})
print(fingerprint(Order(CONVERT, payload, "default")))
"""


def order(*outputs: str, callback: str | None = None, **options: object) -> Order:
    """Give an order for some outputs."""
    content = {"source": _SOURCE, "options": {"outputs": list(outputs), **options}}
    hook = Callback.model_validate({"url": callback}) if callback else None
    return Order(CONVERT, ConvertDocument.model_validate(content), "default", hook)


def test_the_order_of_a_set_is_nothing() -> None:
    """The same outputs in another order are the same request."""
    assert fingerprint(order("text", "json", "markdown")) == fingerprint(order("markdown", "text", "json"))


def test_a_default_that_is_spelled_out_is_nothing() -> None:
    """A caller who begins to state a default does not make another request of it."""
    assert fingerprint(order("text", ocr="auto")) == fingerprint(order("text"))


@pytest.mark.parametrize(
    "other",
    [order("json"), order("text", ocr="force"), order("text", callback="https://example.org")],
    ids=["outputs", "options", "callback"],
)
def test_whatever_differs_makes_another_request(other: Order) -> None:
    """Payload and callback both count."""
    assert fingerprint(order("text")) != fingerprint(other)


def test_its_own_limits_make_another_request_and_its_start_does_not() -> None:
    """Limits say what is wanted; whoever tries again after a while asks for a shorter delay."""
    plain = order("text")
    assert fingerprint(replace(plain, limits=Limits(run_s=5))) != fingerprint(plain)
    assert fingerprint(replace(plain, limits=Limits())) == fingerprint(plain)
    assert fingerprint(replace(plain, delay_s=5)) == fingerprint(plain)


def test_every_process_gives_the_same_fingerprint() -> None:
    """Texts hash differently in each process; a request that is repeated at another one is still known."""
    prints = {
        subprocess.run(
            [sys.executable, "-c", _PROGRAM],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert prints == {fingerprint(order("text", "json", "markdown"))}
