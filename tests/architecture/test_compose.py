"""deploy/compose.yaml, the Dockerfile and the settings agree; no Docker is needed to see that."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from dotenv import dotenv_values
from pydantic_settings import BaseSettings

from producers.settings import ApiSettings
from schemas.job_spec import catalogue
from schemas.settings import PREFIX, EngineSettings, load, unknown_variables
from worker.settings import WorkerSettings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SERVICES: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
SETTINGS: dict[str, type[BaseSettings]] = {
    "api": ApiSettings,
    "worker": WorkerSettings,
    "bull-board": EngineSettings,
}
EXAMPLE = {name: value or "" for name, value in dotenv_values(DEPLOY / ".env.example").items()}

_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::[-?](?P<rest>[^}]*))?\}")


def environment(service: str) -> dict[str, str]:
    """Give a container's variables as compose fills them in from .env.example."""
    declared: dict[str, str] = SERVICES[service].get("environment", {})
    return {name: _VARIABLE.sub(lambda match: EXAMPLE[match["name"]], text) for name, text in declared.items()}


def seconds(duration: str) -> int:
    """Read a duration of compose's that is given in seconds."""
    return int(duration.removesuffix("s"))


@pytest.mark.parametrize("service", SETTINGS)
def test_a_service_starts_with_the_settings_it_is_given(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every CORRAL_ variable is a field of that process's settings, and its example value is valid."""
    for name, value in environment(service).items():
        monkeypatch.setenv(name, value)
    given = {name for name in environment(service) if name.startswith(PREFIX)}
    assert [name for name in unknown_variables((SETTINGS[service],)) if name in given] == []
    settings = load(SETTINGS[service])
    assert getattr(settings, "redis_url", None) == "redis://valkey:6379/0"


def test_the_image_sets_only_what_the_settings_know() -> None:
    """A variable that the Dockerfile sets is a field of the process that the target runs."""
    fields = {f"{PREFIX}{field.upper()}" for settings in SETTINGS.values() for field in settings.model_fields}
    assert set(re.findall(rf"\b{PREFIX}\w+(?==)", (ROOT / "Dockerfile").read_text())) <= fields


def test_the_example_has_each_variable_that_compose_asks_for_and_no_other() -> None:
    """Whoever copies .env.example has all there is to fill in."""
    asked = {match["name"] for match in _VARIABLE.finditer((DEPLOY / "compose.yaml").read_text())}
    assert asked == set(EXAMPLE)


def test_a_secret_goes_to_the_one_service_that_uses_it() -> None:
    """A container that is broken into gives away no secret of another; endpoints' secrets two read."""
    holders = {name: {s for s in SERVICES if name in environment(s)} for name in EXAMPLE}
    assert holders["CORRAL_API_TOKENS"] == {"api"}
    assert holders["CORRAL_CALLBACK_SECRET"] == {"worker"}
    assert holders["CORRAL_SEALING_KEYS"] == {"api", "worker"}


def test_every_build_and_every_mounted_file_exists() -> None:
    """Targets, folders and files that compose names are in the repository."""
    targets = set(re.findall(r"^FROM \S+ AS (\w+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    for service in SERVICES.values():
        match service.get("build"):
            case {"context": context, "target": target}:
                assert (DEPLOY / context / "Dockerfile").is_file()
                assert target in targets
            case str(context):
                assert (DEPLOY / context / "Dockerfile").is_file()
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert not source.startswith(".") or (DEPLOY / source).is_file(), source


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_has_no_right_that_it_does_not_need(service: str) -> None:
    """No capabilities, no new rights, no writable root, and nothing published beyond this machine."""
    settings = SERVICES[service]
    assert settings["read_only"] is True
    assert settings["cap_drop"] == ["ALL"]
    assert settings["security_opt"] == ["no-new-privileges:true"]
    assert [port for port in settings.get("ports", []) if not port.startswith("127.0.0.1:")] == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_says_whether_it_is_well(service: str) -> None:
    """Every service has a health check, and who needs the server waits until it answers."""
    settings = SERVICES[service]
    assert settings["healthcheck"]["test"]
    assert service == "valkey" or settings["depends_on"] == {"valkey": {"condition": "service_healthy"}}


def test_the_server_cannot_be_reached_from_outside() -> None:
    """The server has no password, so it is published nowhere and its one network has no way out."""
    assert "ports" not in SERVICES["valkey"]
    assert SERVICES["valkey"]["networks"] == ["engine"]
    assert yaml.safe_load((DEPLOY / "compose.yaml").read_text())["networks"]["engine"] == {"internal": True}


def test_a_worker_may_finish_before_it_is_killed() -> None:
    """Docker waits longer for a worker than the worker waits for its jobs."""
    assert seconds(SERVICES["worker"]["stop_grace_period"]) > int(EXAMPLE["CORRAL_STOP_GRACE_S"])


def test_a_workers_parsers_fit_into_its_container(monkeypatch: pytest.MonkeyPatch) -> None:
    """A parser meets its own limit, which ends one attempt, before the container's, which ends them all."""
    for name, value in environment("worker").items():
        monkeypatch.setenv(name, value)
    settings = load(WorkerSettings)
    limit_bytes = int(SERVICES["worker"]["mem_limit"].removesuffix("g")) * 1024**3
    assert settings.parser_processes * settings.parser_memory_bytes < limit_bytes


def test_bull_board_shows_every_queue() -> None:
    """A new queue is added to the dashboard, too."""
    queues = {spec.queue for spec in catalogue().values()}
    shown = SERVICES["bull-board"]["environment"]["BULL_BOARD_QUEUES"].split(",")
    assert queues <= set(shown)


def stages() -> dict[str, str]:
    """Give the Dockerfile's stages by name."""
    parts = re.split(r"^FROM \S+ AS (\w+)$", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize(("target", "entry"), [("api", '"producers", "serve"'), ("worker", '"worker"')])
def test_an_image_runs_one_process_as_nobody_in_particular(target: str, entry: str) -> None:
    """The process is started without a shell, so that it gets SIGTERM itself, and not as root."""
    stage = stages()[target]
    assert f'ENTRYPOINT ["python", "-m", {entry}]' in stage
    assert re.search(r"^USER corral$", stage, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK ", stage, re.MULTILINE)
    assert "pip" not in stage


def test_an_image_is_made_of_what_the_lock_names() -> None:
    """Every package is installed with its hash; what an image copies, the build may see."""
    assert "--require-hashes" in stages()["builder"]
    copied = set(re.findall(r"^COPY (?!--)(\S+) ", "".join(stages().values()), re.MULTILINE))
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == let_in
    assert all((ROOT / name).exists() for name in copied)
