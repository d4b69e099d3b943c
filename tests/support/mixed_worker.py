"""A worker process for jobs of every fate: ``python -m tests.support.mixed_worker``.

Which fate a job has is its payload's number modulo `FATES`: done, done with progress and a line of the
log, retried and then done, failed for good, failed by an error that nobody declared.
"""

from schemas.errors import PayloadInvalid, SourceUnavailable
from schemas.job_spec import RetryPolicy, catalogue
from schemas.job_status import Progress
from tests.support.fleet import Trial, Verdict, entry, spec
from tests.support.worker_command import worker_command
from worker.ports import JobContext
from worker.registry import Entry, load

MIXED = spec("mixed", retry=RetryPolicy(attempts=2, base_s=0.01))
FATES = 5


async def mixed(payload: Trial, job: JobContext) -> Verdict:
    """Meet the fate that the number says."""
    match payload.number % FATES:
        case 1:
            await job.progress(Progress(done=1, total=2))
            await job.log("half of it is done")
        case 2 if job.attempt == 1:
            raise SourceUnavailable("not yet")
        case 3:
            raise PayloadInvalid("never")
        case 4:
            raise RuntimeError(payload.text)
    return Verdict(text=payload.text)


def entries() -> list[Entry]:
    """Give this kind, and callbacks."""
    return [entry(mixed, MIXED), load(catalogue(), ["callbacks"]).find("callbacks", "deliver")]


if __name__ == "__main__":
    worker_command("tests.support.mixed_worker", entries)()
