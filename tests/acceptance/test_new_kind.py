"""A new kind of job is two new files: everything else finds it by its name."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from prometheus_client import generate_latest
from redis.asyncio import Redis

from producers.api.app import build
from producers.settings import ApiSettings
from schemas.errors import Misconfigured
from schemas.job_spec import Catalogue, catalogue
from tests.conftest import serving
from worker.metrics import WorkerMetrics
from worker.registry import load

SCHEMA = '''
"""Jobs of the queue ``greetings``."""

from pydantic import BaseModel

from schemas.job_spec import JobSpec


class Greet(BaseModel):
    """Greet somebody."""

    name: str


class Greeting(BaseModel):
    """What was said."""

    text: str


GREET = JobSpec(kind="greetings.greet", payload=Greet, result=Greeting)
'''
HANDLER = '''
"""``greetings.greet``: greets somebody."""


async def handle(payload, job):
    """Greet."""
    return payload
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A package ``colony`` with ``jobs`` and ``handlers`` and one kind, in files of their own."""
    home = tmp_path / "packages" / "colony"
    for name, content in {
        "__init__.py": "",
        "jobs/__init__.py": "",
        "jobs/greetings.py": SCHEMA,
        "handlers/__init__.py": "",
        "handlers/greetings/__init__.py": "",
        "handlers/greetings/greet.py": HANDLER,
    }.items():
        file = home / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    monkeypatch.syspath_prepend(str(home.parent))
    yield importlib.import_module("colony")
    for name in [name for name in sys.modules if name.partition(".")[0] == "colony"]:
        del sys.modules[name]


@pytest.fixture
def specs(package: ModuleType) -> Catalogue:
    """What is found in the new package."""
    return catalogue(importlib.import_module(f"{package.__name__}.jobs"))


async def test_a_new_kind_has_a_route_a_description_and_metrics(
    redis: Redis, api_settings: ApiSettings, specs: Catalogue
) -> None:
    """From the schema's file alone."""
    async with serving(build(api_settings, specs)) as api:
        document = (await api.get("/openapi.json")).json()
        added = await api.post("/v1/jobs/greetings.greet", json={"payload": {"name": "Ada"}})
        wrong = await api.post("/v1/jobs/greetings.greet", json={"payload": {}})
        unknown = await api.post("/v1/jobs/documents.convert", json={})
        metrics = (await api.get("/metrics")).text

    operation = document["paths"]["/v1/jobs/greetings.greet"]["post"]
    assert (operation["operationId"], operation["summary"]) == ("add_greetings_greet", "Greet somebody.")
    assert "Greet" in document["components"]["schemas"]
    assert added.status_code == 202
    assert await redis.lrange("bull:greetings:wait", 0, -1) == [added.json()["id"]]
    assert wrong.json()["errors"][0]["field"] == "body.payload.name"
    assert unknown.json()["detail"].endswith("there are: greetings.greet")
    assert 'corral_jobs_enqueued_total{kind="greetings.greet"} 1.0' in metrics
    assert 'corral_jobs{queue="greetings",state="waiting"} 1.0' in metrics


def test_a_new_kind_has_its_handler_and_its_series(package: ModuleType, specs: Catalogue) -> None:
    """From the handler's file alone, by the kind's name."""
    registry = load(specs, [], package=importlib.import_module(f"{package.__name__}.handlers"))

    assert registry.queues == ["greetings"]
    entry = registry.find("greetings", "greet")
    assert entry.handle.__module__ == "colony.handlers.greetings.greet"
    assert 'kind="greetings.greet"' in generate_latest(WorkerMetrics(registry).registry).decode()


def test_a_kind_without_a_handler_is_an_error_at_start(package: ModuleType, specs: Catalogue) -> None:
    """It says which file to write."""
    (Path(str(package.__file__)).parent / "handlers" / "greetings" / "greet.py").unlink()
    with pytest.raises(Misconfigured, match=r"write colony\.handlers\.greetings\.greet with handle\(\)"):
        load(specs, [], package=importlib.import_module(f"{package.__name__}.handlers"))
