"""``corral endpoint`` and ``corral callback``: what the page of the how-to does not show."""

import json
from importlib.resources import files
from pathlib import Path

from click.testing import CliRunner, Result

from corral.cli import main
from corral.receiver import Receiver
from corral.stack import Stack
from tests.support.until import until_sync

SAMPLES = Path(str(files("corral") / "samples"))


def corral(stack: Stack, *arguments: str) -> Result:
    """Run a command against the stack."""
    return CliRunner(env={"CORRAL_API_URL": stack.api_url}).invoke(main, arguments)


def test_a_callback_is_shown_and_sent_again(stack: Stack, receiver: Receiver) -> None:
    """By its id, with every attempt; and the receiver hears the same id twice."""
    added = corral(stack, "endpoint", "add", receiver.url, "--event", "job.completed", "--public-key")
    endpoint_id, public_key = added.output.split()
    assert public_key.startswith("whpk_")
    payload = json.dumps({"source": {"file": f"@{SAMPLES / 'plain.txt'}"}})
    assert corral(stack, "enqueue", "documents.convert", payload, "--callback", endpoint_id).exit_code == 0
    until_sync(lambda: bool(receiver.received), within_s=20)

    def listed() -> list[str]:
        lines = corral(stack, "callback", "list", "--endpoint", endpoint_id, "--state", "delivered").output
        return lines.splitlines()

    (line,) = until_sync(listed, within_s=20)
    callback_id = line.split()[1]
    assert line.split()[2:] == ["delivered", "204", "job.completed", receiver.url]
    assert len(json.loads(corral(stack, "callback", "show", callback_id).output)["tries"]) == 1
    assert corral(stack, "callback", "replay", callback_id).output.startswith("callbacks_")
    until_sync(lambda: len(receiver.received) == 2, within_s=20)
    assert {one.webhook_id for one in receiver.received} == {callback_id}
    dry = corral(stack, "callback", "replay-all", "--endpoint", endpoint_id, "--dry-run")
    assert dry.output.splitlines() == [callback_id]
    assert corral(stack, "endpoint", "rotate", endpoint_id, "--overlap", "0").output.startswith("whpk_")
    assert corral(stack, "endpoint", "remove", endpoint_id).exit_code == 0


def test_an_endpoint_is_changed(stack: Stack) -> None:
    """What the options name; the rest stays."""
    endpoint_id = corral(
        stack, "endpoint", "add", "http://localhost:1/a", "--description", "of the web tier"
    ).output.split()[0]

    def shown() -> dict[str, object]:
        found: dict[str, object] = json.loads(corral(stack, "endpoint", "show", endpoint_id).output)
        return {name: found[name] for name in ("url", "events", "description", "concurrency", "rate_per_s")}

    before = shown()
    changed = corral(stack, "endpoint", "change", endpoint_id, "--url", "http://localhost:1/b", "--event", "job.failed")
    assert changed.output.split() == [endpoint_id, "enabled", "http://localhost:1/b", "job.failed"]
    assert shown() == before | {"url": "http://localhost:1/b", "events": ["job.failed"]}
    assert corral(stack, "endpoint", "change", endpoint_id, "--rate", "2.5", "--concurrency", "3").exit_code == 0
    assert shown()["rate_per_s"] == 2.5
    assert corral(stack, "endpoint", "change", endpoint_id, "--rate", "0", "--description", "").exit_code == 0
    assert (shown()["rate_per_s"], shown()["concurrency"], shown()["description"]) == (None, 3, "")
    nothing = corral(stack, "endpoint", "change", endpoint_id)
    assert (nothing.exit_code, "name what is to change" in nothing.output) == (2, True)
    assert "concurrency: " in corral(stack, "endpoint", "change", endpoint_id, "--concurrency", "0").output
    assert corral(stack, "endpoint", "remove", endpoint_id).exit_code == 0


def test_what_is_wrong_is_said_in_one_line(stack: Stack) -> None:
    """Before the API is asked, or by its code."""
    unclear = corral(stack, "endpoint", "add", "ftp://example.com")
    assert (unclear.exit_code, "url: URL scheme" in unclear.output) == (2, True)
    assert "since: " in corral(stack, "callback", "list", "--since", "yesterday").output
    missing = corral(stack, "endpoint", "show", "ep_none")
    assert (missing.exit_code, "endpoint_missing" in missing.output) == (1, True)
    assert "callback_missing" in corral(stack, "callback", "show", "callbacks_none").output


def test_secrets_of_every_kind_are_made(stack: Stack) -> None:
    """For callbacks, by HMAC or ed25519, and for sealing."""
    assert corral(stack, "secret").output.startswith("whsec_")
    private, public = corral(stack, "secret", "--public").output.split()
    assert (private.partition("_")[0], public.partition("_")[0]) == ("whsk", "whpk")
    assert len(corral(stack, "secret", "--sealing").output.strip()) == 44
