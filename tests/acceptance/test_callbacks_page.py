"""docs/howto/callbacks.md: its commands run, and its figures are those of the code."""

import asyncio
import re
import shlex
from pathlib import Path

from click.testing import CliRunner
from standardwebhooks.webhooks import Webhook

from corral.cli import main
from corral.stack import Stack
from producers.callbacks.gate import Breaker
from schemas.endpoint import DEFAULT_CONCURRENCY
from schemas.jobs.callbacks import DELAYS_S
from schemas.settings import CallbackSettings
from tests.support.http_receiver import receiving
from tests.support.until import until

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "howto" / "callbacks.md").read_text()
COMMANDS = "".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL))


async def test_the_pages_commands_work(stack: Stack) -> None:
    """In their order; the ping arrives, and verifies with the secret that was shown."""
    async with receiving() as receiver:
        first, *others = COMMANDS.replace("https://shop.example.com/corral", receiver.url).splitlines()
        endpoint_id, secret = (await run(first, stack)).split()
        said = []
        for command in others:
            said.append(await run(command.replace("$ENDPOINT", endpoint_id), stack))
            await until(lambda: bool(receiver.requests), within_s=30)
    (ping,) = [one for one in receiver.requests if b"endpoint.ping" in one.body]
    Webhook(secret).verify(ping.body, ping.headers)
    assert f"{endpoint_id}  DISABLED (asked)  {receiver.url}" in "".join(said)
    assert [one.startswith("whsec_") for one in said].count(True) == 1
    assert "0 secrets are sealed anew\n" in said


async def run(command: str, stack: Stack) -> str:
    """Run a command of the page while this loop goes on serving; give what it prints."""
    runner = CliRunner(env={"CORRAL_API_URL": stack.api_url})
    done = await asyncio.to_thread(runner.invoke, main, shlex.split(command)[1:])
    assert done.exit_code == 0, done.output
    return done.output


def test_the_pages_figures_are_the_codes() -> None:
    """Delays, limits, and settings by their names."""
    rule = Breaker()
    assert "5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h" in PAGE
    assert (5, 300, 1800, *(hours * 3600 for hours in (2, 5, 10, 14, 20, 24))) == DELAYS_S
    assert f"fails {rule.failures} times in a row" in PAGE
    assert f"after {rule.probe_s:g} s, 1 min, 2 min ... {rule.longest_probe_s / 60:g} min" in PAGE
    assert f"fails for {rule.disable_after_s / 86_400:g} days" in PAGE
    assert f"an endpoint has {DEFAULT_CONCURRENCY} at once" in PAGE
    fields = {f"CORRAL_{name.upper()}" for name in CallbackSettings.model_fields}
    assert set(re.findall(r"CORRAL_[A-Z_]+", PAGE)) - fields == {"CORRAL_CALLBACK_SECRET"}
    assert CallbackSettings.model_fields["callback_keep_s"].default == 4 * 86_400
    assert CallbackSettings.model_fields["callback_keep_count"].default == 10_000
