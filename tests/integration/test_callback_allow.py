"""Which addresses a tenant may name: a list that the operator sets holds for jobs, schedules and endpoints alike."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import HttpUrl, SecretStr
from redis.asyncio import Redis

from producers.api.app import build
from producers.callbacks.allow_list import AddressNotAllowed, AllowList
from producers.settings import ApiSettings
from schemas.errors import Misconfigured
from schemas.job_spec import Catalogue
from tests.conftest import serving
from tests.support.callback_sender import SEALING_KEY, endpoints_of
from tests.support.fleet import spec

RUN = spec()
SPECS: Catalogue = {RUN.kind: RUN}
LISTED = ["https://hooks.example.com", "https://*.wild.example.com/", "https://shop.example.com/hooks"]


@pytest.fixture
def settings(api_settings: ApiSettings) -> ApiSettings:
    """The API's settings, with a key to keep secrets under."""
    return api_settings.model_copy(update={"sealing_keys": SecretStr(SEALING_KEY)})


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://hooks.example.com/", True),
        ("https://hooks.example.com/a?b=c", True),
        ("https://HOOKS.example.com:443/a", True),
        ("https://api.wild.example.com/", True),
        ("https://a.b.wild.example.com/", True),
        ("https://shop.example.com/hooks/1", True),
        ("https://shop.example.com/hooks", True),
        ("http://hooks.example.com/", False),
        ("https://hooks.example.com:8443/", False),
        ("https://hooks.example.com.evil.net/", False),
        ("https://wild.example.com/", False),
        ("https://notwild.example.com/", False),
        ("https://shop.example.com/hooks-of-others", False),
        ("https://shop.example.com/hooks/../admin", False),
        ("https://shop.example.com/hooks/%2e%2e/admin", False),
        ("https://shop.example.com/", False),
    ],
)
def test_an_address_is_on_the_list_or_not(url: str, *, allowed: bool) -> None:
    """Scheme, host, port and whole steps of the path; one star for what stands before a domain."""
    allow = AllowList.of({"acme": LISTED})
    allow.check("other", url)
    if allowed:
        allow.check("acme", str(HttpUrl(url)))
    else:
        with pytest.raises(AddressNotAllowed):
            allow.check("acme", str(HttpUrl(url)))


@pytest.mark.parametrize(
    ("url", "statuses"), [(LISTED[0], [202, 201, 200, 200]), ("https://other.example.com", [403] * 4)]
)
async def test_a_list_holds_for_jobs_schedules_and_endpoints(
    redis: Redis,  # noqa: ARG001 - empties the server
    settings: ApiSettings,
    url: str,
    statuses: list[int],
) -> None:
    """Told at once, not when the job has ended."""
    changes: dict[str, Any] = {"callback_allow": {"default": LISTED}}
    async with serving(build(settings.model_copy(update=changes), SPECS)) as api:
        new = (await api.post("/v1/endpoints", json={"url": LISTED[0]})).json()["id"]
        when = {"kind": RUN.kind, "when": {"every_s": 3600}, "callback": {"url": url}}
        answers = [
            await api.post(f"/v1/jobs/{RUN.kind}", json={"payload": {}, "callback": {"url": url}}),
            await api.post("/v1/endpoints", json={"url": url}),
            await api.patch(f"/v1/endpoints/{new}", json={"url": url}),
            await api.put("/v1/schedules/hourly", json=when),
        ]
    assert [answer.status_code for answer in answers] == statuses
    assert {answer.json().get("code") for answer in answers} == ({"address_not_allowed"} if 403 in statuses else {None})


async def test_a_tenant_without_a_list_names_any_address(redis: Redis, settings: ApiSettings) -> None:  # noqa: ARG001 - as above
    """A list is of the tenant that it names."""
    changed = settings.model_copy(update={"callback_allow": {"acme": ["https://hooks.example.com"]}})
    async with serving(build(changed, SPECS)) as api:
        assert (await api.post("/v1/endpoints", json={"url": "https://elsewhere.example.com/"})).status_code == 201


@pytest.mark.parametrize(
    ("settings_", "said"),
    [
        ({"callback_allow": {"acme": ["hooks.example.com"]}}, "CORRAL_CALLBACK_ALLOW: 'hooks.example.com'"),
        ({"callback_allow": {"acme": ["https://u@example.com"]}}, "CORRAL_CALLBACK_ALLOW"),
        ({"sealing_keys": "c2hvcnQ="}, "CORRAL_SEALING_KEYS has what is not"),
        ({"sealing_keys": "not/base64!"}, "CORRAL_SEALING_KEYS has what is not"),
        ({"sealing_keys_file": Path("missing-file")}, "CORRAL_SEALING_KEYS_FILE cannot be read"),
    ],
)
def test_a_setting_that_is_wrong_is_named(redis: Redis, settings_: dict[str, Any], said: str) -> None:
    """At the start, and never with its value when that is a secret."""
    with pytest.raises(Misconfigured, match=said):
        endpoints_of(redis, **settings_)
