"""Logs are for machines to read and for nobody to find a secret in."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.log import hide, redact

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
_PROGRAM = f"""
import logging, structlog
from producers.log import configure
from schemas.settings import LogSettings
configure(LogSettings(log_format=%r))
log = structlog.get_logger()
log.info("job.enqueued", job_id="documents_1", nested={{"deep": ["{SECRET}", {{"api_key": "hunter2"}}]}})
log.debug("never.seen")
try:
    raise ValueError("cannot reach redis://ada:hunter2@db:6379 with {SECRET}")
except ValueError as error:
    log.error("request.failed", exc_info=error)
    logging.getLogger("library").exception("it broke at redis://ada:hunter2@db")
logging.getLogger("library").info("chatter")
"""


def lines(look: str) -> list[str]:
    """Give what a process of ours wrote."""
    command = [sys.executable, "-c", _PROGRAM % look]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_every_line_is_json_with_a_time_a_level_and_an_event() -> None:
    """Ours and a library's; a trace is a field and not forty lines."""
    found = [json.loads(line) for line in lines("json")]

    assert [line["event"] for line in found] == ["job.enqueued", "request.failed", found[2]["event"]]
    assert "ValueError" in found[1]["exception"]
    assert "ValueError" in found[2]["exception"]
    assert all(line["timestamp"].endswith("Z") and line["level"] in {"info", "error"} for line in found)


@pytest.mark.parametrize("look", ["json", "pretty"])
def test_no_secret_is_in_a_log(look: str) -> None:
    """Neither in a field, at any depth, nor in a text, nor in a trace."""
    text = "\n".join(lines(look))
    assert SECRET not in text
    assert "hunter2" not in text
    assert "[redacted]" in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("callback_secret", "x"),
        ("Authorization", "Bearer abc"),
        ("api_tokens", {"acme": "x"}),
        ("detail", "sent with authorization: bearer abc.def"),
        ("url", "rediss://:x@valkey:6379/0"),
        ("error", ValueError(SECRET)),
        ("headers", [("authorization", "Bearer abc")]),
        ("sealing_keys", "x"),
        ("detail", "signed by whsk_abc="),
    ],
)
def test_a_secret_is_hidden_by_its_field_or_its_look(name: str, value: object) -> None:
    """Whoever logs a thing whole still tells no secret."""
    text = hide(None, "", str(redact(None, "", {name: value})))
    assert "[redacted]" in text
    for secret in ("abc", SECRET, ":x@", "'x'"):
        assert secret not in text


@given(
    st.dictionaries(
        st.sampled_from(["job_id", "kind", "run_s"]), st.none() | st.booleans() | st.integers() | st.floats()
    )
)
def test_numbers_and_flags_stay_as_they_are(event: dict[str, object]) -> None:
    """A machine that reads the log needs them as such."""
    assert redact(None, "", dict(event)) is not None
    assert {name: repr(value) for name, value in redact(None, "", dict(event)).items()} == {
        name: repr(value) for name, value in event.items()
    }
