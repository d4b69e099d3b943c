"""A job's life as its owner sees it through the API, one engine state after the other."""

from typing import cast

import httpx
import pytest
from bullmq import Queue
from redis.asyncio import Redis

from producers.engine.cancel import CANCEL_FIELD

# As redis-py has it.
Fields = dict[bytes | bytearray | memoryview | str | int | float, bytes | bytearray | memoryview | str | int | float]
BODY = {"payload": {"source": {"file": f"sha256-{'0' * 64}"}}}
ROUTE = "/v1/jobs/documents.convert"


async def add(api: httpx.AsyncClient) -> str:
    """Add a job and give its id."""
    return str((await api.post(ROUTE, json=BODY)).json()["id"])


async def finish(redis: Redis, job_id: str, state: str, **fields: str) -> None:
    """Put a job where a worker's last word would have put it."""
    await redis.lrem("bull:documents:wait", 0, job_id)
    await redis.zadd(f"bull:documents:{state}", {job_id: 1700000001000})
    await redis.hset(f"bull:documents:{job_id}", mapping={**cast("Fields", fields), "finishedOn": "1700000001000"})


async def test_an_accepted_job_is_where_its_links_say(api: httpx.AsyncClient) -> None:
    """202 with a place to look, and there it waits."""
    answer = await api.post(ROUTE, json=BODY)
    job = answer.json()
    status = (await api.get(answer.headers["Location"])).json()

    assert answer.status_code == 202
    assert (job["kind"], job["state"]) == ("documents.convert", "waiting")
    assert (status["id"], status["kind"], status["state"]) == (job["id"], "documents.convert", "waiting")
    assert status["attempts"] == 0
    assert status["added_at"].endswith("Z")
    assert status["links"] == job["links"]
    assert set(job["links"]) == {"self", "result", "events", "logs"}


async def test_a_result_is_there_when_the_job_is_completed(api: httpx.AsyncClient, redis: Redis) -> None:
    """And not before: 409 says when to come back."""
    job_id = await add(api)
    early = await api.get(f"/v1/jobs/{job_id}/result")
    await finish(redis, job_id, "completed", returnvalue='{"pages": 3}')
    result = await api.get(f"/v1/jobs/{job_id}/result")

    assert (early.status_code, early.json()["code"], early.headers["Retry-After"]) == (409, "job_not_finished", "1")
    assert (result.status_code, result.json()) == (200, {"pages": 3})


async def test_a_failed_job_has_an_error_and_no_result(api: httpx.AsyncClient, redis: Redis) -> None:
    """Both routes say the same code."""
    job_id = await add(api)
    await finish(redis, job_id, "failed", failedReason="document_encrypted: it needs a password")

    status = (await api.get(f"/v1/jobs/{job_id}")).json()
    refused = await api.get(f"/v1/jobs/{job_id}/result")

    assert status["state"] == "failed"
    assert status["error"] == {"code": "document_encrypted", "message": "it needs a password"}
    assert (refused.status_code, refused.json()["code"]) == (409, "job_has_no_result")
    assert "document_encrypted" in refused.json()["detail"]


async def test_a_waiting_job_can_be_cancelled(api: httpx.AsyncClient, redis: Redis) -> None:
    """At once for its owner; the flag is what its worker will see. Asking again changes nothing."""
    job_id = await add(api)
    for _ in range(2):
        answer = await api.delete(f"/v1/jobs/{job_id}")
        assert (answer.status_code, answer.json()["state"]) == (202, "cancelled")
    assert await redis.hexists(f"bull:documents:{job_id}", CANCEL_FIELD)


async def test_a_delayed_job_is_made_due_by_its_cancel(api: httpx.AsyncClient, redis: Redis) -> None:
    """Its end, and the callback that tells of it, are not delayed as well."""
    job = await Queue("documents", {"connection": redis}).add("convert", {}, {"delay": 3_600_000, "jobId": "later"})
    assert (await api.get("/v1/jobs/documents_later")).json()["state"] == "delayed"

    answer = await api.delete(f"/v1/jobs/documents_{job.id}")

    assert answer.json()["state"] == "cancelled"
    assert await redis.lrange("bull:documents:wait", 0, -1) == ["later"]
    assert await redis.zcard("bull:documents:delayed") == 0


async def test_a_running_job_is_asked_to_end(api: httpx.AsyncClient, redis: Redis) -> None:
    """It is active until its worker has stopped it."""
    job_id = await add(api)
    await redis.lmove("bull:documents:wait", "bull:documents:active")
    answer = await api.delete(f"/v1/jobs/{job_id}")
    assert (answer.status_code, answer.json()["state"]) == (202, "active")
    assert await redis.hexists(f"bull:documents:{job_id}", CANCEL_FIELD)


@pytest.mark.parametrize("state", ["completed", "failed"])
async def test_a_job_that_has_ended_cannot_be_cancelled(api: httpx.AsyncClient, redis: Redis, state: str) -> None:
    """409, and no flag is left on it."""
    job_id = await add(api)
    await finish(redis, job_id, state)
    answer = await api.delete(f"/v1/jobs/{job_id}")
    assert (answer.status_code, answer.json()["code"]) == (409, "job_has_ended")
    assert not await redis.hexists(f"bull:documents:{job_id}", CANCEL_FIELD)


async def test_logs_are_what_the_handler_wrote(api: httpx.AsyncClient, redis: Redis) -> None:
    """The newest 1,000 lines, oldest first."""
    job_id = await add(api)
    assert (await api.get(f"/v1/jobs/{job_id}/logs")).json() == {"lines": []}
    await redis.rpush(f"bull:documents:{job_id}:logs", *(f"line {number}" for number in range(1_100)))
    lines = (await api.get(f"/v1/jobs/{job_id}/logs")).json()["lines"]
    assert (len(lines), lines[0], lines[-1]) == (1_000, "line 100", "line 1099")


async def test_a_job_of_a_plain_program_is_found_by_queue_and_number(api: httpx.AsyncClient, redis: Redis) -> None:
    """Added by the engine's own package, without our envelope and with the engine's own id."""
    job = await Queue("documents", {"connection": redis}).add("convert", BODY["payload"], {})
    status = (await api.get(f"/v1/jobs/documents_{job.id}")).json()
    assert (status["id"], status["kind"]) == (f"documents_{job.id}", "documents.convert")


@pytest.mark.parametrize(
    "name", ["wait", "events", "meta", "id", "completed", "marker", "", ":", "*", "../x", "x" * 500, "%00", "%F0%9F"]
)
async def test_an_id_that_names_no_job_is_not_found(api: httpx.AsyncClient, redis: Redis, name: str) -> None:
    """Also when it is the name of another key of the queue: that is no outage of the server."""
    job_id = await add(api)
    await finish(redis, job_id, "completed")
    await add(api)
    answer = await api.get(f"/v1/jobs/documents_{name}")
    assert answer.status_code == 404
    assert answer.json()["code"] in {"job_not_found", "not_found"}
