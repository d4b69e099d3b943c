"""The command line's own part: finding a command without loading the others."""

import subprocess
import sys

import pytest

from corral.cli import COMMANDS, load
from tests.support.command import ROOT


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_each_says_of_itself(name: str) -> None:
    """Each is where the list has it, under its name, and begins its help with that line."""
    command = load(name)
    assert (command.name, command.get_short_help_str(limit=200)) == (name, COMMANDS[name][1])


@pytest.mark.parametrize(("arguments", "unwanted"), [("--help", "corral.commands"), ("job --help", "worker")])
def test_help_loads_no_more_than_it_needs(arguments: str, unwanted: str) -> None:
    """The list loads no command, and a command not what others need: it is there at once."""
    program = "import sys; from corral.cli import main; main(standalone_mode=False)"
    check = f"print([name for name in sys.modules if name.split('.')[0] == {unwanted!r} or name == {unwanted!r}])"
    ended = subprocess.run(
        [sys.executable, "-c", f"{program}; {check}", *arguments.split()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Usage:" in ended.stdout
    assert ended.stdout.splitlines()[-1] == "[]"
