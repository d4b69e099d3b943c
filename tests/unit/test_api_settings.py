"""The API starts only as somebody meant it to, and says which setting is wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.settings import ApiSettings, is_loopback
from schemas.errors import Misconfigured
from schemas.settings import load, unknown_variables

TOKEN = "a-token-of-24-characters!"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment with nothing but an address of the server."""
    for name in unknown_variables(()):
        monkeypatch.delenv(name)
    monkeypatch.setenv("CORRAL_REDIS_URL", "redis://localhost")
    return monkeypatch


def test_the_defaults_serve_loopback_only() -> None:
    """A laptop needs one variable."""
    assert is_loopback(load(ApiSettings).api_host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "example.org"])  # noqa: S104 - what must be refused
def test_another_host_needs_tokens(environment: pytest.MonkeyPatch, host: str) -> None:
    """Nobody serves the world by mistake; with tokens it is meant."""
    environment.setenv("CORRAL_API_HOST", host)
    with pytest.raises(Misconfigured, match=r"CORRAL_API_HOST is .*: without CORRAL_API_TOKENS .* loopback only"):
        load(ApiSettings)

    environment.setenv("CORRAL_API_TOKENS", f'{{"acme": "{TOKEN}"}}')
    assert load(ApiSettings).api_host == host


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("REDIS_URL", "user:secret@valkey:6379", r"CORRAL_REDIS_URL: String should match pattern"),
        ("API_TOKENS", '{"acme": "short"}', "'acme' has a token under 24 characters"),
        ("API_TOKENS", f'{{"a": "{TOKEN}", "b": "{TOKEN}"}}', "two tenants have the same token"),
        ("API_TOKENS", f'{{"../a": "{TOKEN}"}}', "no tenant"),
        ("API_TOKENS", f"acme={TOKEN}", "no JSON"),
        ("API_PORT", "99999", "CORRAL_API_PORT: "),
        ("IDEMPOTENCY_S", "999999", "CORRAL_IDEMPOTENCY_S must not be above CORRAL_KEEP_FINISHED_S"),
        ("REDIS_URL", "", "CORRAL_REDIS_URL: "),
        ("LOG_LEVEL", "loud", "CORRAL_LOG_LEVEL: "),
    ],
)
def test_a_wrong_setting_is_named_and_its_value_is_not_shown(
    environment: pytest.MonkeyPatch, name: str, value: str, why: str
) -> None:
    """The operator reads which variable to mend; a secret stays one."""
    environment.setenv(f"CORRAL_{name}", value)
    with pytest.raises(Misconfigured, match=why) as refused:
        load(ApiSettings)
    assert TOKEN not in str(refused.value)


def test_tokens_are_not_printed() -> None:
    """Settings in a log or a trace show no secret."""
    settings = ApiSettings.model_validate({"redis_url": "redis://localhost", "api_tokens": {"acme": TOKEN}})
    assert TOKEN not in repr(settings)


def test_a_misspelt_variable_is_noticed(environment: pytest.MonkeyPatch) -> None:
    """It would be without effect."""
    environment.setenv("CORRAL_API_PROT", "1")
    assert unknown_variables((ApiSettings,)) == ["CORRAL_API_PROT"]


@given(st.ip_addresses())
def test_only_loopback_is_loopback(address: object) -> None:
    """By what the address means, not by how it looks."""
    assert is_loopback(str(address)) is getattr(address, "is_loopback", None)
    assert is_loopback("localhost")
