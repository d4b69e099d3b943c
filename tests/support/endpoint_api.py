"""The API as tests of endpoints use it: with a key that secrets lie under, and two tenants."""

from typing import Any

import httpx
from pydantic import SecretStr

from producers.settings import ApiSettings
from schemas.job_spec import Catalogue
from tests.support.callback_sender import SEALING_KEY
from tests.support.fleet import spec

RUN = spec()
SPECS: Catalogue = {RUN.kind: RUN}
URL = "https://hooks.example.com/corral"
TOKENS = {"acme": SecretStr("a" * 32), "b:c/d": SecretStr("b" * 32)}


def sealing(settings: ApiSettings) -> ApiSettings:
    """Give the settings a key to keep secrets under."""
    return settings.model_copy(update={"sealing_keys": SecretStr(SEALING_KEY)})


async def added(api: httpx.AsyncClient, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Register an endpoint and give the answer."""
    answer = await api.post("/v1/endpoints", json={"url": URL, **changes})
    assert answer.status_code == 201, answer.text
    given: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/v1/endpoints/{given['id']}"
    return given
