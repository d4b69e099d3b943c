"""``python -m tests.support.metric_table``: writes docs/reference/metrics.md from what API and worker serve.

A test checks that the file is what this program would write.
"""

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from corral.valkey import embedded_valkey
from producers.api.app import build
from producers.settings import ApiSettings
from schemas.job_spec import catalogue
from tests.conftest import serving
from tests.support.fleet import entry, spec, succeed
from worker.metrics import WorkerMetrics
from worker.registry import Registry

FILE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"

_INTRODUCTION = """\
# Metrics

<!-- Made by `python -m tests.support.metric_table` from what is served; edit the classes. -->

Prometheus reads `/metrics` of the API, and of each worker at `CORRAL_WORKER_METRICS_PORT`. Times are seconds,
sizes bytes. A histogram `x` is the series `x_bucket`, `x_sum` and `x_count`. `kind` is `unknown` for a job whose name
no handler has; `code` is one of [errors](errors.md). Under `--processes` each series of a worker has the label
`process` as well.

What to look at first: `corral_engine_up` is 1; `corral_next_waited_seconds` stays small, or workers are missing;
`rate(corral_attempts_total{outcome="dead_lettered"}[5m])` is 0; `corral_callbacks_total` is mostly `delivered`.

Traces are [explained here](../explanation/traces.md).
"""
_HEAD = "| series | type | labels | what |\n| --- | --- | --- | --- |"


def table(api: str, worker: str) -> str:
    """Give the whole page, from two pages in Prometheus's text format."""
    parts = [_INTRODUCTION, "## Of the API\n", _HEAD, *_rows(api), "\n## Of a worker\n", _HEAD, *_rows(worker), ""]
    return "\n".join(parts)


def _rows(page: str) -> Iterator[str]:
    families = sorted(text_string_to_metric_families(page), key=lambda family: family.name)
    for family in families:
        if family.name.endswith("_created"):
            continue
        labels = sorted({label for sample in family.samples for label in sample.labels} - {"le"})
        name = f"{family.name}_total" if family.type == "counter" else family.name
        shown = ", ".join(f"`{label}`" for label in labels)
        yield f"| `{name}` | {family.type} | {shown} | {family.documentation} |"


def of_worker() -> str:
    """Give what a worker serves when every series has been used once."""
    metrics = WorkerMetrics(Registry([entry(succeed)]))
    kind = spec().kind
    metrics.show_reads(lambda: {spec().queue: True})
    metrics.begun(kind)
    metrics.ended(kind, "completed", "", run_s=1, waited_s=1)
    metrics.called_back("delivered", 0.1)
    return generate_latest(metrics.registry).decode()


async def of_api(settings: ApiSettings) -> str:
    """Give what the API serves after a first request."""
    async with serving(build(settings, catalogue())) as client:
        await client.get("/version")
        return (await client.get("/metrics")).text


async def _write() -> None:
    folder = Path(tempfile.mkdtemp())
    with embedded_valkey(folder) as server:
        api = await of_api(ApiSettings(redis_url=server.url, data_folder=folder))
    FILE.write_text(table(api, of_worker()))


if __name__ == "__main__":
    asyncio.run(_write())
    print(f"{FILE.name} is written")  # noqa: T201 - a program says what it did
