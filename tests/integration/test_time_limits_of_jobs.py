"""A job's time limits and its start, as a caller asks for them and a worker keeps them."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from producers.engine.jobs import NewJob
from schemas import job_id as ids
from schemas.envelope import Envelope, Limits
from schemas.job_spec import RetryPolicy
from schemas.job_status import JobState, Progress
from schemas.jobs.documents import ConvertOptions
from tests.support.child_process_ids import descendants
from tests.support.document import long_pdf
from tests.support.fleet import QUEUE, Fleet, Trial, Verdict, entry, hang, spec, succeed
from tests.support.until import until
from worker.adapters.pebble_document_parser import ParserLimits, PebbleDocumentParser
from worker.ports import DocumentParser, JobContext

ROUTE = "/v1/jobs/documents.convert"
PAYLOAD = {"source": {"file": f"sha256-{'0' * 64}"}}


async def test_limits_travel_with_the_job(api: httpx.AsyncClient, redis: Redis) -> None:
    """They are within what the kind allows, and lie in the envelope."""
    limits = {"wait_s": 60, "run_s": 30, "heartbeat_s": 5}
    answer = await api.post(ROUTE, json={"payload": PAYLOAD, "limits": limits})
    assert answer.status_code == 202
    data = await redis.hget(f"bull:documents:{answer.json()['id']}", "data")
    envelope, _ = Envelope.unwrap(json.loads(data or ""))
    assert envelope.limits == Limits(wait_s=60, run_s=30, heartbeat_s=5)


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"limits": {"run_s": 901}}, "run_s"),
        ({"limits": {"run_s": 0}}, "run_s"),
        ({"limits": {"cpu_s": 1}}, "cpu_s"),
        ({"delay_s": -1}, "delay_s"),
        ({"delay_s": 31 * 24 * 3600}, "delay_s"),
        ({"delay_s": 1, "run_at": "2030-01-01T00:00:00Z"}, "not both"),
        ({"run_at": "2999-01-01T00:00:00Z"}, "30 days"),
        ({"run_at": "2030-01-01T00:00:00"}, "run_at"),
    ],
)
async def test_what_a_kind_does_not_allow_is_refused(
    api: httpx.AsyncClient, redis: Redis, body: dict[str, Any], word: str
) -> None:
    """With 422, the name of the field, and nothing added."""
    answer = await api.post(ROUTE, json={"payload": PAYLOAD, **body})
    assert answer.status_code == 422
    assert word in answer.json()["detail"]
    assert await redis.exists("bull:documents:id") == 0


@pytest.mark.parametrize("how", ["delay_s", "run_at"])
async def test_a_job_may_begin_later(api: httpx.AsyncClient, redis: Redis, how: str) -> None:
    """After so many seconds, or at a time; it is delayed until then, and one in the past begins now."""
    soon = datetime.now(UTC) + timedelta(seconds=60)
    given = {"delay_s": 60} if how == "delay_s" else {"run_at": soon.isoformat()}
    answer = await api.post(ROUTE, json={"payload": PAYLOAD, **given})
    assert answer.json()["state"] == "delayed"
    delayed: Any = await redis.zrange("bull:documents:delayed", 0, -1, withscores=True)
    ((_, score),) = delayed
    assert abs(score / 4096 / 1000 - soon.timestamp()) < 2
    past = await api.post(ROUTE, json={"payload": PAYLOAD, "run_at": "2020-01-01T00:00:00+02:00"})
    assert past.json()["state"] == "waiting"


async def test_a_job_that_waited_too_long_expires_unrun(fleet: Fleet) -> None:
    """A delay is not a wait: what is due has only just begun to wait."""
    late = await fleet.add(spec(), Trial(), limits=Limits(wait_s=0.001))
    delayed = NewJob(ids.new(QUEUE), spec(), Envelope(limits=Limits(wait_s=5)).wrap(Trial()), delay_s=5.1)
    await fleet.engine.add(delayed)
    await fleet.redis.hincrby(f"bull:trials:{delayed.id}", "timestamp", -5_100)
    await fleet.redis.zadd("bull:trials:delayed", {delayed.id: 1})
    async with fleet.worker(entry(succeed)):
        expired = await fleet.ended(late)
        assert (await fleet.ended(delayed.id)).status.state is JobState.COMPLETED
    assert expired.status.state is JobState.FAILED
    assert expired.status.error is not None
    assert expired.status.error.code == "job_expired"


@pytest.mark.parametrize(("limit", "code"), [("run_s", "job_timed_out"), ("heartbeat_s", "job_heartbeat_lost")])
async def test_a_jobs_own_limit_ends_its_run(fleet: Fleet, limit: str, code: str) -> None:
    """Each with a code of its own."""
    kind = spec(retry=RetryPolicy(attempts=1))
    job_id = await fleet.add(kind, Trial(), limits=Limits.model_validate({limit: 0.05}))
    async with fleet.worker(entry(hang, kind)):
        ended = await fleet.ended(job_id)
    assert ended.status.error is not None
    assert ended.status.error.code == code


async def test_a_silent_parser_is_killed(fleet: Fleet, tmp_path: Path) -> None:
    """When the heartbeat is lost the attempt is cancelled, and the child that parses dies with it."""
    document = long_pdf(tmp_path, pages=400)
    begun: list[set[int]] = []
    before = descendants()

    async def parse(_payload: Trial, job: JobContext) -> Verdict:
        async def note(_: Progress) -> None:
            # It is never told to the job: to its limit the parser is silent.
            begun.append(descendants() - before)

        def at_work() -> bool:
            job.heartbeat()
            return bool(begun)

        folder = tmp_path / "out"
        folder.mkdir(exist_ok=True)
        parser = job.use(DocumentParser)
        async with asyncio.TaskGroup() as group:
            group.create_task(
                parser.parse(document, name="long.pdf", options=ConvertOptions(), folder=folder, report=note)
            )
            # It lives until the parser is at work, however long a busy machine needs for that.
            await until(at_work, within_s=50)
        return Verdict()

    kind = spec(retry=RetryPolicy(attempts=1), timeout_s=120.0)
    async with PebbleDocumentParser(ParserLimits(processes=1, timeout_s=120, memory_bytes=2 * 1024**3)) as parser:
        async with fleet.worker(entry(parse, kind, DocumentParser), ports={DocumentParser: parser}):
            job_id = await fleet.add(kind, Trial(), limits=Limits(heartbeat_s=1))
            ended = await fleet.ended(job_id, within_s=55)
        children = begun[-1]
        await until(lambda: len(children - descendants()) >= 1, within_s=2)
    assert ended.status.error is not None
    assert ended.status.error.code == "job_heartbeat_lost"
