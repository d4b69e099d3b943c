"""A schedule: a job that is added again and again, by the clock.

One that belongs to the code is a ``Schedule`` beside its ``JobSpec`` in ``schemas/jobs/<queue>.py``; nothing
is registered. Others come and go by ``PUT`` and ``DELETE /v1/schedules/{id}``.
"""

import importlib
import pkgutil
import re
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from types import ModuleType
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

import schemas.jobs
from schemas.envelope import DEFAULT_TENANT, Callback
from schemas.errors import JobError
from schemas.job_spec import AnySpec

ID = re.compile(r"^[a-z0-9][a-z0-9-]{0,63}$")
_YEAR_S = 366 * 24 * 3600

Origin = Literal["api", "declared"]


class Cron(BaseModel):
    """By the wall clock of a time zone.

    A time that the clocks skip in spring fires once, when they have jumped. A time that they show
    twice in autumn fires the first time only. What is to come in even distances is an ``Every``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cron: str = Field(
        max_length=200,
        description="Five fields: minute, hour, day of the month, month, day of the week.",
        examples=["30 2 * * mon-fri"],
    )
    timezone: str = Field(default="UTC", max_length=64, description="An IANA name.", examples=["Europe/Zurich"])


class Every(BaseModel):
    """In even distances, the first time at once."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    every_s: int = Field(ge=1, le=_YEAR_S, description="Seconds from one firing to the next.")


@dataclass(frozen=True)
class Schedule:
    """A schedule that belongs to the code.

    A process that starts with it puts it into the server, in place of an older declaration of the
    same id; one that is no longer declared disappears.
    """

    id: str
    spec: AnySpec
    payload: BaseModel
    when: Cron | Every
    tenant: str = DEFAULT_TENANT
    callback: Callback | None = None

    def __post_init__(self) -> None:
        """Refuse what no API would accept.

        Raises:
            ValueError: the id cannot stand in an address, or the payload is another kind's.
        """
        if not ID.match(self.id):
            raise ValueError(f"a schedule's id is up to 64 of a-z 0-9 -, not {self.id!r}")
        if not isinstance(self.payload, self.spec.payload):
            raise TypeError(f"the schedule {self.id} has another payload than {self.spec.kind}")


class ScheduleRequest(BaseModel):
    """What is to be done, and when."""

    model_config = ConfigDict(extra="forbid")

    kind: str = Field(max_length=130)
    payload: dict[str, Any] = Field(default_factory=dict, description="As in `POST /v1/jobs/{kind}`.")
    when: Cron | Every
    callback: Callback | None = Field(default=None, description="Who hears of the end of each job.")


class FailedFiring(BaseModel):
    """A firing that has not added its job."""

    model_config = ConfigDict(frozen=True)

    due_at: datetime
    error: JobError
    tried_again: bool = Field(description="It will be; else it was given up.")


class ScheduleStatus(BaseModel):
    """A schedule as its owner sees it."""

    id: str
    kind: str
    payload: dict[str, Any]
    when: Cron | Every
    callback: Callback | None = None
    origin: Origin = Field(description="`declared` ones are changed in the code.")
    next_at: datetime = Field(description="When it fires next; in the past while no worker takes it.")
    fired: int = Field(ge=0, description="How often it has fired since it was last changed.")
    failed: FailedFiring | None = Field(
        default=None, description="The newest firing that has not added its job, as long as the engine keeps it."
    )


def declared(package: ModuleType = schemas.jobs) -> list[Schedule]:
    """Find every schedule below a package, in the order of their ids.

    Raises:
        ValueError: two schedules of one tenant have one id.
    """
    modules = (
        importlib.import_module(f"{package.__name__}.{one.name}") for one in pkgutil.iter_modules(package.__path__)
    )
    values = chain.from_iterable(vars(module).values() for module in modules)
    found: dict[tuple[str, str], Schedule] = {}
    for schedule in values:
        if (
            isinstance(schedule, Schedule)
            and found.setdefault((schedule.tenant, schedule.id), schedule) is not schedule
        ):
            raise ValueError(f"two schedules have the id {schedule.id!r}; rename one of them")
    return sorted(found.values(), key=lambda schedule: (schedule.tenant, schedule.id))
