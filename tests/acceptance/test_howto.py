"""The pages of docs/howto do what they say: their commands and code run as they stand, each on a stack of its own."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from schemas.schedule import Schedule
from schemas.settings import PREFIX, TenantSettings
from tests.support.page import ROOT, Page
from tests.support.until import until_sync

# Each starts a stack and several commands, each of which is a process.
pytestmark = pytest.mark.timeout(180)
PACKAGES = ("schemas", "producers", "worker", "corral")


def test_every_page_is_tested_here() -> None:
    """A new page has its commands run, too: here, or beside what it is about."""
    pages = {path.name for path in (ROOT / "docs" / "howto").glob("*.md")}
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert pages == set(re.findall(r"howto/([a-z-]+\.md)", tests))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project, in which a test may write."""
    home = tmp_path / "project"
    for name in PACKAGES:
        shutil.copytree(ROOT / name, home / name, ignore=shutil.ignore_patterns("__pycache__"))
    # What runs in the copy is not what is measured.
    for variable in ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"):
        monkeypatch.delenv(variable, raising=False)
    return home


def test_parts_of_a_job_are_done_by_other_jobs(project: Path, tmp_path: Path) -> None:
    """The page's files make a kind that fans out, and its command adds up to what it must."""
    page = Page("howto/fan-out.md", project)
    for block in page.blocks("python"):
        name, _, content = block.removeprefix("# ").partition("\n")
        file = project / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(content)
    (project / "worker" / "handlers" / "sums" / "__init__.py").touch()
    with page.dev(tmp_path):
        (command,) = page.blocks("sh")
        assert json.loads(page.run(command)) == {"total": 500_500}


def test_jobs_are_scheduled(tmp_path: Path) -> None:
    """By the command line and over HTTP; what is removed is gone."""
    page = Page("howto/schedule-jobs.md")
    by_command, by_http = page.blocks("sh")
    with page.dev(tmp_path):
        put, listed = page.run(by_command).splitlines()
        assert put == listed
        assert "  nightly  documents.convert  " in put
        hourly, fired = map(json.loads, page.run(by_http).replace("}{", "}\n{").splitlines())
        assert (hourly["id"], hourly["when"], hourly["failed"]) == ("hourly", {"every_s": 3600}, None)
        assert fired["id"] == "hourly"
        assert page.run("corral schedule list") == ""


def test_a_schedule_is_declared_in_the_code() -> None:
    """The page's declaration is one."""
    (code,) = Page("howto/schedule-jobs.md").blocks("python")
    names: dict[str, Any] = {}
    exec(compile(code, "schedule-jobs.md", "exec"), names)  # noqa: S102 - our own page
    assert isinstance(names["NIGHTLY"], Schedule)


def test_a_fleet_is_shared(tmp_path: Path) -> None:
    """The tenant at its limit is refused, the other is not, and a schedule says what holds it up."""
    page = Page("howto/share-between-tenants.md")
    start, add, put, look = page.blocks("sh")
    with page.dev(tmp_path, start):
        assert page.run(add).split() == ["202", "202", "202", "429", "202"]
        assert "  hourly  " in page.run(put)
        refused = r"\(that of \S+Z is tried again: tenant_limit_reached: the tenant has 3 of 3 jobs in flight"
        until_sync(lambda: re.search(refused, page.run(look)), within_s=60)


def test_the_table_of_limits_is_the_settings() -> None:
    """Every one of them, with its default."""
    page = Page("howto/share-between-tenants.md")
    defaults = {
        f"{PREFIX}{name.upper()}": field.get_default(call_default_factory=True)
        for name, field in TenantSettings.model_fields.items()
        if name.startswith("tenant_")
    }
    rows = dict(re.findall(r"^\| `(CORRAL_\w+)` \| (\S+) \|", page.text, re.MULTILINE))
    assert {name: text.strip("`") for name, text in rows.items()} == {name: str(one) for name, one in defaults.items()}
