"""Groups of settings that more than one process has; each process inherits those it needs.

Every setting is an environment variable: ``CORRAL_`` and the field's name in capitals.
"""

import os
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from schemas.errors import Misconfigured

PREFIX = "CORRAL_"
S = TypeVar("S", bound=BaseSettings)


class EngineSettings(BaseSettings):
    """Where the queues are."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    redis_url: str = Field(
        pattern=r"^(redis|rediss|unix)://.",
        description="redis://, rediss:// or unix:// address of a Valkey or Redis with `noeviction`.",
        examples=["redis://:secret@valkey:6379/0", "unix:///run/valkey.sock"],
    )
    queue_prefix: str = Field(default="bull", description="The first part of every key of the engine.")
    keep_finished_s: int = Field(
        default=4 * 24 * 3600,
        ge=3600,
        description="How long the engine keeps an ended job, in seconds; more than an idempotency key lives.",
    )
    keep_finished_count: int = Field(
        default=1_000_000,
        ge=1_000,
        description="How many ended jobs the engine keeps, of one queue and outcome; about 1 kB each.",
    )


class TenantSettings(EngineSettings):
    """What one tenant may have in the queues, and how tenants share a fleet: the same for all that add jobs."""

    tenant_jobs_in_flight: int = Field(default=200_000, ge=1, description="Jobs of one tenant that have not ended.")
    tenant_jobs_queued: int = Field(default=100_000, ge=1, description="Jobs of one tenant that wait.")
    tenant_bytes_queued: int = Field(
        default=512 * 1024**2, ge=1024, description="Of one tenant's jobs in the server, files not counted."
    )
    tenant_weights: dict[str, Annotated[float, Field(ge=0.01, le=100)]] = Field(
        default_factory=dict, description="JSON object of tenant to its share where others wait as well; else 1."
    )


class FileSettings(BaseSettings):
    """Where files are."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    data_folder: Path = Field(default=Path(".corral"), description="Uploads and results lie below it.")

    @property
    def files_folder(self) -> Path:
        """The root of the store."""
        return self.data_folder / "files"


class CallbackSettings(EngineSettings):
    """Who may be called back, and how the secrets of endpoints are kept."""

    callback_allow: dict[str, list[str]] = Field(
        default_factory=dict,
        description="JSON object of tenant to the addresses that it may name, each the beginning of a URL as in "
        "`https://hooks.example.com/` or `https://*.example.com`; a tenant that is not in it may name any.",
    )
    sealing_keys: SecretStr | None = Field(
        default=None,
        description="Encrypts the secrets of endpoints: base64 of 32 bytes, several with a space between. The first "
        "seals, each opens. `corral secret --sealing` makes one.",
    )
    callback_keep_s: int = Field(
        default=4 * 24 * 3600, ge=3600, description="How long the attempts of a callback can be looked at."
    )
    callback_keep_count: int = Field(default=10_000, ge=10, description="Of how many callbacks of one tenant.")
    sealing_keys_file: Path | None = Field(default=None, description="A file with those keys, one a line.")


class LogSettings(BaseSettings):
    """What is logged, and how it looks."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "pretty"] = Field(
        default="auto", description="`auto` is pretty on a terminal and JSON elsewhere."
    )


def load(settings: type[S]) -> S:
    """Read a process's settings from its environment, once.

    Raises:
        Misconfigured: a variable is missing or wrong; the message names it and never its value.
    """
    try:
        return settings()
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        raise Misconfigured("; ".join(_fault(fault) for fault in faults)) from None
    except SettingsError as error:
        # What should be JSON is not; the text names the field, and the value is only in the cause.
        raise Misconfigured(f"a {PREFIX} variable is no JSON: {error}") from None


def _fault(fault: ErrorDetails) -> str:
    # A rule about several variables has no place of its own: its text names them.
    place = f"{PREFIX}{str(fault['loc'][0]).upper()}: " if fault["loc"] else ""
    return place + fault["msg"].removeprefix("Value error, ")


def unknown_variables(known: tuple[type[BaseSettings], ...]) -> list[str]:
    """Name the ``CORRAL_`` variables that no setting reads: most likely misspelt."""
    fields = {f"{PREFIX}{name.upper()}" for settings in known for name in settings.model_fields}
    return sorted(name for name in os.environ if name.startswith(PREFIX) and name not in fields)
