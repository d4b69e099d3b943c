"""The worker's settings."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.settings import PREFIX, CallbackSettings, FileSettings, LogSettings, TenantSettings
from worker.core_count import core_count

_DEFAULT_CONCURRENCY = 20
# Four times what one endpoint may have at once: one that hangs leaves room for all others.
_CALLBACKS_AT_ONCE = 100
MOST_PROCESSES = 256


class DocumentSettings(BaseSettings):
    """What reading documents takes, in a worker or on the command line."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    allow_loopback: bool = Field(
        default=False, description="Let callbacks and sources be on this machine; for development."
    )
    source_limit_bytes: int = Field(default=512 * 1024**2, ge=1, description="Of a document fetched by URL.")
    parser_processes: int = Field(
        default_factory=core_count, ge=1, le=128, description="Over all processes of one supervisor; one per core."
    )
    parser_timeout_s: float = Field(default=600, gt=0, description="For one document.")
    parser_memory_bytes: int = Field(default=4 * 1024**3, ge=512 * 1024**2, description="Of one parser process.")


class WorkerSettings(CallbackSettings, TenantSettings, FileSettings, LogSettings, DocumentSettings):
    """What a worker process reads from its environment."""

    concurrency: dict[str, int] = Field(
        default_factory=dict,
        description="JSON object of queue to how many of its jobs run at once; `documents` has one a parser.",
    )
    stop_grace_s: float = Field(default=30, ge=0, description="How long attempts may finish after SIGTERM.")
    lock_s: float = Field(default=10, ge=1, description="A job whose worker is silent for this long runs again.")
    reconcile_s: float = Field(
        default=60, ge=1, description="How often one worker looks for callbacks that nothing else would send."
    )
    callback_secret: SecretStr | None = Field(
        default=None,
        description="Signs callbacks to a plain URL: `whsec_` and base64 of 24 to 64 bytes, or `whsk_` and base64 of "
        "an ed25519 key; while it is being rotated the new one and the old one, with a space between.",
    )
    worker_processes: int = Field(
        default_factory=core_count,
        ge=1,
        le=MOST_PROCESSES,
        description="Under a supervisor when above 1; one per core.",
    )
    worker_metrics_port: int = Field(
        default=0, ge=0, le=65535, description="Where /livez, /readyz and /metrics are; 0 is nowhere."
    )
    worker_metrics_host: str = Field(
        default="127.0.0.1", description="The address of that port; 0.0.0.0 lets a container be scraped."
    )
    worker_metrics_socket: Path | None = Field(
        default=None, description="A unix socket in place of the port; the supervisor sets it for its processes."
    )

    def concurrency_of(self, queue: str) -> int:
        """Tell how many jobs of a queue may run at once in this process."""
        own = {"documents": self.parser_processes, "callbacks": _CALLBACKS_AT_ONCE}
        return self.concurrency.get(queue, own.get(queue, _DEFAULT_CONCURRENCY))
