"""``corral doctor``: what is wrong with this machine or these settings, and what to do about it."""

import asyncio
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import click
from redis.exceptions import RedisError

from corral.finding import Finding
from corral.queue_findings import look_at_queues
from corral.valkey_binary import find_server
from producers import connection
from producers.settings import ApiSettings
from schemas.errors import Misconfigured
from schemas.job_spec import catalogue
from schemas.settings import FileSettings, load, unknown_variables
from worker import registry
from worker.settings import WorkerSettings

# Read by commands, not by a process's settings.
_OF_COMMANDS = frozenset({"CORRAL_API_URL", "CORRAL_API_TOKEN"})
_LEAST_FREE_BYTES = 2 * 1024**3


@click.command()
def doctor() -> None:
    """Look at this machine and its settings; exit 1 when Corral could not run."""
    findings = [finding for check in _CHECKS for finding in check()]
    for finding in findings:
        mark = "ok  " if not finding.remedy else ("FAIL" if finding.fatal else "note")
        click.echo(f"{mark}  {finding.what}" + (f": {finding.remedy}" if finding.remedy else ""))
    sys.exit(1 if any(finding.remedy and finding.fatal for finding in findings) else 0)


def _python() -> Iterator[Finding]:
    have = ".".join(map(str, sys.version_info[:3]))
    yield Finding(f"python {have}", "" if sys.version_info[:2] == (3, 11) else "corral needs python 3.11")
    yield Finding(f"bullmq {version('bullmq')}, docling {version('docling-slim')}, pymupdf {version('pymupdf')}")
    torch = "the default install has none; its import costs every parser 200 MB" if find_spec("torch") else ""
    yield Finding("no torch" if not torch else "torch is installed", torch, fatal=False)


def _kinds() -> Iterator[Finding]:
    try:
        kinds = registry.load(catalogue(), ()).kinds
        yield Finding(f"every kind has its handler: {', '.join(kinds)}")
    except Misconfigured as error:
        yield Finding("kinds and handlers", str(error))


def _variables() -> Iterator[Finding]:
    unknown = [name for name in unknown_variables((ApiSettings, WorkerSettings)) if name not in _OF_COMMANDS]
    for name in unknown:
        yield Finding(name, "no setting has this name; correct it or remove it", fatal=False)
    if not unknown:
        yield Finding("no misspelt CORRAL_ variable")


def _folder() -> Iterator[Finding]:
    folder = load(FileSettings).data_folder
    home = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    writable = os.access(home, os.W_OK)
    yield Finding(f"data folder {folder}", "" if writable else f"{home} cannot be written; set CORRAL_DATA_FOLDER")
    free = shutil.disk_usage(home).free
    short = "" if free >= _LEAST_FREE_BYTES else "make room: uploads and results lie there"
    yield Finding(f"{free / 1024**3:.1f} GiB free for it", short, fatal=False)


def _server() -> Iterator[Finding]:
    if url := os.environ.get("CORRAL_REDIS_URL"):
        yield from asyncio.run(_look_at(url))
        return
    try:
        yield Finding(f"embedded server: {Path(find_server()).name}; CORRAL_REDIS_URL is not set")
    except Misconfigured as error:
        yield Finding("embedded server", str(error))


async def _look_at(url: str) -> list[Finding]:
    try:
        async with connection.fail_fast(url, timeout_s=2.0) as redis:
            about = await redis.info()
            queues = {spec.queue for spec in catalogue().values()}
            of_queues = await look_at_queues(redis, os.environ.get("CORRAL_QUEUE_PREFIX", "bull"), queues)
    except (RedisError, OSError, ValueError) as error:
        return [Finding("CORRAL_REDIS_URL", f"no answer ({type(error).__name__}); start the server or correct it")]
    name = about.get("server_name", "redis")
    policy, durable = about.get("maxmemory_policy"), about.get("aof_enabled") == 1
    evicts = "" if policy == "noeviction" else "set maxmemory-policy noeviction: an evicted key is a lost job"
    forgets = "" if durable else "set appendonly yes: a restart would lose accepted jobs"
    return [
        Finding(f"{name} {about.get('valkey_version', about.get('redis_version'))} answers"),
        Finding(f"maxmemory-policy {policy}", evicts),
        Finding("appendonly " + ("yes" if durable else "no"), forgets),
        *of_queues,
    ]


def _ocr() -> Iterator[Finding]:
    if shutil.which("tesseract"):
        yield Finding("OCR by tesseract")
    else:
        yield Finding("OCR by RapidOCR", "install tesseract-ocr: it is faster", fatal=False)


_CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (_python, _kinds, _variables, _folder, _server, _ocr)
