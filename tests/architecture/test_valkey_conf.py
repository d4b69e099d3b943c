"""The server's settings have one meaning on a laptop and in production, and a reason each."""

from corral.valkey_options import PROMISES
from tests.support.valkey_conf import directives


def test_the_embedded_server_is_as_durable_as_the_deployed_one() -> None:
    """What a job outlives on a laptop, it outlives in production, and the other way round."""
    deployed = {directive.name: directive.value for directive in directives()}
    assert {name: deployed.get(name) for name in PROMISES} == dict(PROMISES)


def test_every_line_has_its_reason() -> None:
    """A setting without a reason cannot be judged by whoever has to change it."""
    assert [directive.name for directive in directives() if len(directive.reason.split()) < 5] == []


def test_no_setting_is_made_twice() -> None:
    """Of two lines for one name the server takes the last: the other would only mislead."""
    names = [(one.name, one.value.split()[0] if "limit" in one.name else "") for one in directives()]
    assert len(names) == len(set(names))
