"""The jobs of the soak: light ones, of a queue of their own, that end in every way there is."""

import asyncio

from pydantic import BaseModel, ConfigDict

from schemas.errors import SourceRefused, SourceUnavailable
from schemas.job_spec import AnySpec, Catalogue, JobSpec, RetryPolicy
from schemas.job_status import Progress
from tests.support.until import passed
from worker.ports import Child, Children, JobContext
from worker.registry import Entry

QUEUE = "soak"
PARTS = 3
_STEPS = 4
# Workers die every few seconds: from a job that is given up for that nothing would be learnt.
_CRASHES = 50


class Chore(BaseModel):
    """What is asked: to give a number back, after ``seconds``."""

    model_config = ConfigDict(extra="forbid")

    number: int
    seconds: float = 0.0


class Done(BaseModel):
    """What comes back."""

    number: int


def _spec(verb: str, *, attempts: int = 3) -> AnySpec:
    retry = RetryPolicy(attempts=attempts, base_s=0.2, cap_s=1.0)
    return JobSpec(kind=f"{QUEUE}.{verb}", payload=Chore, result=Done, retry=retry, crashes=_CRASHES)


ECHO, NAP, REFUSE, STUMBLE, GIVE_UP, LINGER, PART = map(
    _spec, ("echo", "nap", "refuse", "stumble", "give_up", "linger", "part")
)
# An outage while it adds its parts uses up an attempt.
GATHER = _spec("gather", attempts=20)


async def echo(chore: Chore, _job: JobContext) -> Done:
    """Be done at once."""
    return Done(number=chore.number)


async def nap(chore: Chore, job: JobContext) -> Done:
    """Take some time, and say how far it is."""
    for step in range(_STEPS):
        await job.progress(Progress(done=step, total=_STEPS))
        await passed(chore.seconds / _STEPS)
    await job.log(f"took {chore.seconds:.3f} s")
    return Done(number=chore.number)


async def refuse(_chore: Chore, _job: JobContext) -> Done:
    """Fail for good."""
    raise SourceRefused("no attempt will ever succeed")


async def stumble(chore: Chore, job: JobContext) -> Done:
    """Succeed at the third attempt."""
    if job.attempt < STUMBLE.retry.attempts:
        raise SourceUnavailable("not yet")
    return Done(number=chore.number)


async def give_up(_chore: Chore, _job: JobContext) -> Done:
    """Fail at every attempt."""
    raise SourceUnavailable("never")


async def linger(_chore: Chore, _job: JobContext) -> Done:
    """Never end by itself."""
    await asyncio.Event().wait()
    raise AssertionError


async def gather(chore: Chore, job: JobContext) -> Done:
    """Have the parts done by other jobs, and add up what they give."""
    parts = [
        Child(key=str(part), spec=PART, payload=Chore(number=chore.number + part, seconds=chore.seconds))
        for part in range(PARTS)
    ]
    ended = await job.use(Children).run(job, parts)
    return Done(number=sum(one.result["number"] for one in ended))


ENTRIES = (
    Entry(ECHO, echo, frozenset()),
    Entry(NAP, nap, frozenset()),
    Entry(REFUSE, refuse, frozenset()),
    Entry(STUMBLE, stumble, frozenset()),
    Entry(GIVE_UP, give_up, frozenset()),
    Entry(LINGER, linger, frozenset()),
    Entry(GATHER, gather, frozenset({Children})),
    Entry(PART, nap, frozenset()),
)
SPECS: Catalogue = {entry.spec.kind: entry.spec for entry in ENTRIES}
