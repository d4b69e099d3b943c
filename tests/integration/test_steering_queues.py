"""The operator steers queues over the API: paused, resumed, limited and drained, audited, and by nobody else."""

import asyncio
import time
from collections.abc import AsyncIterator

import httpx
import pytest
from bullmq import Queue
from redis.asyncio import Redis

from producers.api.app import build
from producers.engine.jobs import NewJob
from producers.engine.queues import EngineQueue
from producers.settings import ApiSettings
from schemas import job_id as ids
from schemas.envelope import Callback, Envelope
from schemas.errors import Cancelled
from schemas.job_spec import catalogue
from schemas.job_status import JobState
from schemas.jobs.callbacks import DELIVER, DeliverCallback
from tests.conftest import serving
from tests.support.fleet import QUEUE, Fleet, Seen, Trial, entry, hang, spec
from tests.support.until import passed, until

TOKENS = {"acme": "the-token-of-acme-0123456789", "operator": "the-token-of-operator-0123456789"}
STEERING = [
    ("GET", "/v1/queues"),
    ("GET", "/v1/queues/documents"),
    ("POST", "/v1/queues/documents/pause"),
    ("POST", "/v1/queues/documents/resume"),
    ("POST", "/v1/queues/documents/drain"),
    ("PUT", "/v1/queues/documents/limits"),
    ("GET", "/v1/workers"),
    ("POST", "/v1/workers/w/drain"),
    ("POST", "/v1/workers/w/resume"),
    ("PUT", "/v1/workers/w/concurrency"),
    ("GET", "/v1/audit"),
]


@pytest.fixture
async def operator(redis: Redis, api_settings: ApiSettings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an API that knows the tests' queue, used on this machine without a token."""
    assert await redis.dbsize() == 0
    async with serving(build(api_settings, {spec().kind: spec(), **catalogue()})) as client:
        yield client


@pytest.mark.parametrize(("method", "path"), STEERING)
async def test_only_the_operator_steers(redis: Redis, api_settings: ApiSettings, method: str, path: str) -> None:
    """A tenant's token is a 403, no token a 401; the operator's opens every one of these doors."""
    assert await redis.dbsize() == 0
    app = build(ApiSettings.model_validate({**api_settings.model_dump(), "api_tokens": TOKENS}), catalogue())
    statuses = {}
    async with serving(app) as client:
        for who in ("nobody", *TOKENS):
            headers = {"Authorization": f"Bearer {TOKENS.get(who, 'none')}"}
            statuses[who] = (await client.request(method, path, headers=headers)).status_code
    assert statuses["nobody"] == 401
    assert statuses["acme"] == 403
    assert statuses["operator"] in ({404} if "/w/" in path else {200, 422})


async def test_without_a_token_for_the_operator_nobody_steers(redis: Redis, api_settings: ApiSettings) -> None:
    """Safe by default: an API that has tokens opens to the one that its setting names, or to none."""
    assert await redis.dbsize() == 0
    tokens = {"acme": TOKENS["acme"]}
    settings = ApiSettings.model_validate({**api_settings.model_dump(), "api_tokens": tokens})
    async with serving(build(settings, catalogue()), token=TOKENS["acme"]) as client:
        answer = await client.post("/v1/queues/documents/pause")
    assert answer.json()["code"] == "operator_only"
    named = settings.model_copy(update={"api_operator": "acme"})
    async with serving(build(named, catalogue()), token=TOKENS["acme"]) as client:
        assert (await client.post("/v1/queues/documents/pause")).json()["paused"]


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:9"])
async def test_a_foreign_page_in_the_operators_browser_steers_nothing(operator: httpx.AsyncClient, origin: str) -> None:
    """Without tokens whoever sits here is the operator, but a page that is shown here is not."""
    answer = await operator.post("/v1/queues/documents/pause", headers={"Origin": origin})
    assert answer.json()["code"] == "operator_only"
    own = await operator.post("/v1/queues/documents/pause", headers={"Origin": "http://localhost"})
    assert own.json()["paused"]


async def test_a_paused_queue_is_not_read_until_it_is_resumed(operator: httpx.AsyncClient, fleet: Fleet) -> None:
    """Jobs may be added meanwhile; the first one begins within a second of the resume."""
    handle = Seen()
    async with fleet.worker(entry(handle)):
        await fleet.ended(await fleet.add(spec(), Trial()))
        assert (await operator.post(f"/v1/queues/{QUEUE}/pause")).json()["paused"]
        job_id = await fleet.add(spec(), Trial())
        other = await fleet.add(spec(), Trial())
        assert (await operator.get(f"/v1/queues/{QUEUE}")).json()["counts"]["waiting"] == 2
        assert len(handle.runs) == 1
        assert not (await operator.post(f"/v1/queues/{QUEUE}/resume")).json()["paused"]
        await fleet.ended(job_id, within_s=1)
        await fleet.ended(other, within_s=1)
    assert (await operator.get("/v1/queues")).json()["queues"][-1]["completed_last_minute"] == 3


async def test_a_drain_ends_what_waits_and_every_callback_says_so(operator: httpx.AsyncClient, fleet: Fleet) -> None:
    """Waiting, delayed and prioritized jobs end as cancelled, what runs goes on, and no parent is forgotten."""
    handle = Seen([hang])
    async with fleet.worker(entry(handle), concurrency=1):
        running = await fleet.add(spec(), Trial())
        await until(lambda: len(handle.runs) == 1)
        waiting = [await _with_callback(fleet) for _ in range(3)]
        waiting.append(await fleet.add_raw({}, priority=7))
        delayed = await fleet.add_raw({}, delay=3_600_000)
        assert (await operator.post(f"/v1/queues/{QUEUE}/drain")).json()["cancelled"] == 4
        assert (await operator.post(f"/v1/queues/{QUEUE}/drain?delayed=true")).json()["cancelled"] == 1
        assert (await fleet.job(running)).status.state is JobState.ACTIVE
        await fleet.engine.request_cancel(running)
        ended = [await fleet.ended(job_id) for job_id in [*waiting, delayed]]
    assert {job.status.state for job in ended} == {JobState.CANCELLED}
    assert {job.status.error.code for job in ended if job.status.error} == {Cancelled.code}
    assert len(handle.runs) == 1
    assert (await fleet.engine.counts("callbacks"))["waiting"] == 3


async def test_a_long_line_is_drained_in_short_steps(operator: httpx.AsyncClient, fleet: Fleet) -> None:
    """What the server does for a job does not grow with the line: 20,000 take a moment, and nobody waits meanwhile."""
    bulk = [{"name": "run", "data": {}, "opts": {}} for _ in range(20_000)]
    await Queue(QUEUE, {"connection": fleet.redis}).addBulk(bulk)
    begun = time.monotonic()
    assert (await operator.post(f"/v1/queues/{QUEUE}/drain", timeout=60)).json()["cancelled"] == 20_000
    assert time.monotonic() - begun < 6
    assert (await operator.post(f"/v1/queues/{QUEUE}/drain", timeout=60)).json()["cancelled"] == 0
    await fleet.redis.flushall()  # what looks for leaked keys looks at each


async def test_a_drain_sees_every_job_while_workers_take_and_others_add(fleet: Fleet) -> None:
    """Of those that waited when it began each ends as cancelled, unless a worker had taken it before."""
    handle, trials = Seen(), EngineQueue(fleet.redis, prefix="bull", queue=QUEUE)
    jobs = [await fleet.add(spec(), Trial()) for _ in range(1_500)]
    async with fleet.worker(entry(handle), concurrency=5):
        await until(lambda: len(handle.runs) > 20)
        async with asyncio.TaskGroup() as adding:
            adding.create_task(trials.drain(delayed=False))
            for _ in range(50):
                adding.create_task(fleet.add(spec(), Trial()))
        begun = len(handle.runs)
        states = [(await fleet.ended(job_id)).status.state for job_id in jobs]
    assert states.count(JobState.CANCELLED) >= len(jobs) - begun
    assert JobState.CANCELLED in states


async def test_callbacks_are_never_drained(operator: httpx.AsyncClient) -> None:
    """Whoever waits for one is not forgotten by a slip of a finger."""
    answer = await operator.post("/v1/queues/callbacks/drain")
    assert (answer.status_code, answer.json()["code"]) == (409, "queue_not_drainable")


async def test_a_limit_on_a_queue_holds_over_all_workers(operator: httpx.AsyncClient, fleet: Fleet) -> None:
    """Of two workers with twenty places each one job runs at once, until the limit is lifted."""
    handle = Seen([hang])
    limits = {"concurrency": 1, "rate": {"jobs": 1000, "per_s": 1}}
    answer = await operator.put(f"/v1/queues/{QUEUE}/limits", json=limits)
    assert answer.json()["limits"] == limits
    async with fleet.worker(entry(handle)), fleet.worker(entry(handle)):
        jobs = [await fleet.add(spec(), Trial()) for _ in range(3)]
        await until(lambda: len(handle.runs) == 1)
        assert (await operator.get(f"/v1/queues/{QUEUE}")).json()["counts"]["active"] == 1
        lifted = await operator.put(f"/v1/queues/{QUEUE}/limits", json={})
        assert lifted.json()["limits"] == {"concurrency": None, "rate": None}
        await until(lambda: len(handle.runs) == 3, within_s=1)
        for job_id in jobs:
            await fleet.engine.request_cancel(job_id)
            await fleet.ended(job_id)


async def test_whoever_steers_is_noted(operator: httpx.AsyncClient) -> None:
    """Who, when, what: newest first, and bounded."""
    await operator.post("/v1/queues/documents/pause")
    await operator.put("/v1/queues/documents/limits", json={"concurrency": 3})
    newest, first = (await operator.get("/v1/audit")).json()["entries"]
    assert (first["act"], first["on"], first["by"]) == ("queue.paused", "documents", "default")
    assert newest["act"] == "queue.limited"
    assert '"concurrency":3' in newest["details"]
    assert newest["at"] >= first["at"]


async def test_a_queue_that_no_kind_has_is_not_found(operator: httpx.AsyncClient) -> None:
    """So that a slip of the pen steers nothing."""
    answer = await operator.post("/v1/queues/document/pause")
    assert (answer.status_code, answer.json()["code"]) == (404, "queue_not_found")


async def _with_callback(fleet: Fleet) -> str:
    job_id = ids.new(QUEUE)
    callback = Callback.model_validate({"url": "http://localhost:9/"})
    notice = DeliverCallback(job_id=job_id, kind=spec().kind, callback=callback)
    parent = NewJob(f"callbacks_{job_id.partition('_')[2]}", DELIVER, Envelope().wrap(notice))
    await fleet.engine.add(NewJob(job_id, spec(), Envelope().wrap(Trial()), parent))
    return job_id


async def test_a_limited_queue_keeps_its_rate(operator: httpx.AsyncClient, fleet: Fleet) -> None:
    """Within 10 %, over two workers, though the package's own loop stands still for seconds (fact 2)."""
    await operator.put(f"/v1/queues/{QUEUE}/limits", json={"rate": {"jobs": 5, "per_s": 0.5}})
    async with fleet.worker(entry(Seen())), fleet.worker(entry(Seen())):
        jobs = [await fleet.add(spec(), Trial()) for _ in range(31)]
        ended = [await fleet.ended(job_id) for job_id in jobs]
    times = sorted(job.status.started_at for job in ended if job.status.started_at)
    # Six full windows lie between the first job and the one that begins the seventh.
    assert 2.95 < (times[-1] - times[0]).total_seconds() < 3.3


async def test_a_new_limit_of_rate_holds_at_once(operator: httpx.AsyncClient, fleet: Fleet) -> None:
    """One job an hour was a slip of the pen: what the hour has counted does not hold back the new limit's jobs."""
    url, handle = f"/v1/queues/{QUEUE}/limits", Seen()
    await operator.put(url, json={"rate": {"jobs": 1, "per_s": 3600}})
    async with fleet.worker(entry(handle)):
        jobs = [await fleet.add(spec(), Trial()) for _ in range(8)]
        await fleet.ended(jobs[0])
        await operator.put(url, json={"rate": {"jobs": 3, "per_s": 0.5}})
        for job_id in jobs:
            await fleet.ended(job_id)


async def test_a_limit_that_is_set_again_counts_on(operator: httpx.AsyncClient, fleet: Fleet) -> None:
    """Whoever says the same each minute, as tools do, does not lift it."""
    limits = {"rate": {"jobs": 1, "per_s": 3600}}
    handle = Seen()
    async with fleet.worker(entry(handle)):
        jobs = []
        for _ in range(3):
            await operator.put(f"/v1/queues/{QUEUE}/limits", json=limits)
            jobs.append(await fleet.add(spec(), Trial()))
            await fleet.ended(jobs[0])
        await operator.put(f"/v1/queues/{QUEUE}/limits", json=limits)
        await passed(0.6)
        assert [run.id for run in handle.runs] == jobs[:1]
        await operator.put(f"/v1/queues/{QUEUE}/limits", json={})
        for job_id in jobs:
            await fleet.ended(job_id)
