"""What machines that look after the API read."""

import httpx
from redis.asyncio import Redis

from producers.api.app import build
from producers.settings import ApiSettings
from schemas import VERSION
from schemas.job_spec import catalogue
from tests.conftest import serving


async def test_metrics_show_every_kind_from_the_start(api: httpx.AsyncClient) -> None:
    """A rate needs no first job; each queue's length is there by state."""
    text = (await api.get("/metrics")).text
    for kind, spec in catalogue().items():
        assert f'corral_jobs_enqueued_total{{kind="{kind}"}} 0.0' in text
        assert f'corral_jobs{{queue="{spec.queue}",state="waiting"}} 0.0' in text
    assert "corral_engine_up 1.0" in text


async def test_metrics_count_jobs_and_time_routes(api: httpx.AsyncClient) -> None:
    """A replay is no new job; a route is named by its pattern."""
    body = {"payload": {"source": {"file": f"sha256-{'0' * 64}"}}}
    for _ in range(2):
        job = (await api.post("/v1/jobs/documents.convert", json=body, headers={"Idempotency-Key": "1"})).json()
    await api.get(f"/v1/jobs/{job['id']}")
    await api.request("BREW", "/made-up")

    text = (await api.get("/metrics")).text

    assert 'corral_jobs_enqueued_total{kind="documents.convert"} 1.0' in text
    assert 'corral_jobs{queue="documents",state="waiting"} 1.0' in text
    assert '{method="GET",route="/v1/jobs/{job_id}",status="200"} 1.0' in text
    assert '{method="POST",route="/v1/jobs/documents.convert",status="202"} 1.0' in text
    assert '{method="other",route="none",status="404"} 1.0' in text
    assert job["id"] not in text
    assert "BREW" not in text
    assert "made-up" not in text


async def test_the_version_is_told(api: httpx.AsyncClient) -> None:
    """Ours, the engine's and Python's."""
    told = (await api.get("/version")).json()
    assert told["corral"] == VERSION
    assert told["bullmq"] == "3.4.4"
    assert told["python"].startswith("3.11.")


async def test_being_alive_asks_nobody(redis: Redis, api_settings: ApiSettings) -> None:
    """A restart of the API cannot mend a server that is gone."""
    settings = ApiSettings.model_validate({**api_settings.model_dump(), "redis_url": "unix:///nowhere.sock"})
    async with serving(build(settings, catalogue())) as api:
        assert (await api.get("/livez")).json() == {"status": "ok"}
        assert (await api.get("/readyz")).status_code == 503
    assert await redis.info("commandstats")


async def test_ready_means_that_the_server_answers(api: httpx.AsyncClient) -> None:
    """And then jobs can be accepted."""
    assert (await api.get("/readyz")).json() == {"status": "ok"}
