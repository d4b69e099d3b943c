"""Handlers are found by name, and only those that are needed."""

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from schemas.errors import Misconfigured, UnknownKind
from schemas.job_spec import Catalogue, catalogue
from tests.support.fleet import entry, spec, succeed
from worker.registry import Registry, load

HANDLER = "PORTS = (int,)\nasync def handle(payload, job): ...\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A package of handlers with ``trials.run`` and ``trials.broken``."""
    for name, text in {
        "__init__": "",
        "trials/__init__": "",
        "trials/run": HANDLER,
        "trials/broken": "import no_such_library",
        "trials/empty": "",
    }.items():
        path = tmp_path / "some_handlers" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield import_module("some_handlers")
    for name in [name for name in sys.modules if name.startswith("some_handlers")]:
        del sys.modules[name]


def kinds(*verbs: str) -> Catalogue:
    """Kinds of the tests' queue."""
    return {f"trials.{verb}": spec(verb) for verb in verbs}


def test_every_kind_of_the_catalogue_has_its_handler() -> None:
    """The product as it ships starts: nobody forgot a module."""
    registry = load(catalogue(), ())
    assert registry.kinds == list(catalogue())
    assert registry.queues == sorted({kind.partition(".")[0] for kind in catalogue()})


def test_a_handler_is_found_by_its_kinds_name(package: ModuleType) -> None:
    """``trials.run`` is ``handle`` in ``trials/run.py``, with the ports the module names."""
    found = load(kinds("run"), ["trials"], package).find("trials", "run")
    assert found.handle is import_module("some_handlers.trials.run").handle
    assert found.ports == {int}


def test_a_kind_without_a_handler_is_an_error_at_start(package: ModuleType) -> None:
    """The message names the module to write."""
    with pytest.raises(Misconfigured, match=r"write some_handlers\.trials\.missing with handle"):
        load(kinds("missing"), (), package)


def test_a_module_without_handle_is_an_error_at_start(package: ModuleType) -> None:
    """An empty module is no handler."""
    with pytest.raises(Misconfigured, match=r"trials\.empty"):
        load(kinds("empty"), (), package)


def test_a_handlers_missing_library_is_not_a_missing_handler(package: ModuleType) -> None:
    """The error says what really lacks."""
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        load(kinds("broken"), (), package)


def test_a_queue_without_kinds_is_an_error_at_start(package: ModuleType) -> None:
    """The message names the queues there are."""
    with pytest.raises(Misconfigured, match="no kind of job has the queue cats; there are: trials"):
        load(kinds("run"), ["cats"], package)


def test_only_the_handlers_of_the_queues_served_are_imported(package: ModuleType) -> None:
    """A broken handler of another queue does not matter to this worker."""
    other = spec("broken")
    object.__setattr__(other, "kind", "others.broken")
    load({**kinds("run"), other.kind: other}, ["trials"], package)
    assert "some_handlers.others" not in sys.modules


@pytest.mark.parametrize("name", ["run", "trials.run"])
def test_a_job_may_be_named_by_verb_or_kind(name: str) -> None:
    """Programs of others say the one, Corral the other."""
    registry = Registry([entry(succeed)])
    assert registry.find("trials", name).spec.kind == "trials.run"


def test_a_kind_is_done_in_its_own_queue_alone() -> None:
    """A kind's full name in another queue is unknown there; the message names what is known."""
    registry = Registry([entry(succeed)])
    with pytest.raises(UnknownKind, match="the queue others has no handler"):
        registry.find("others", "trials.run")
    with pytest.raises(UnknownKind, match=r"name the job trials\.run"):
        registry.find("trials", "walk")


def test_the_crash_budget_of_a_queue_is_its_most_patient_kinds() -> None:
    """The engine counts per queue."""
    registry = Registry([entry(succeed, spec("run", crashes=2)), entry(succeed, spec("walk", crashes=5))])
    assert registry.crashes("trials") == 5


def test_a_worker_for_callbacks_loads_no_document_library() -> None:
    """Neither the parser nor its adapter is imported when its queue is not served."""
    program = (
        "import asyncio, json, sys\n"
        "from schemas.job_spec import catalogue\n"
        "from worker import app, command, registry\n"
        "from worker.settings import WorkerSettings\n"
        "async def main():\n"
        "    settings = WorkerSettings(redis_url='redis://127.0.0.1:1', callback_secret='whsec_' + 'A' * 32)\n"
        "    found = registry.load(catalogue(), ['callbacks'])\n"
        "    for port in found.ports:\n"
        "        async with app.ADAPTERS[port](settings):\n"
        "            pass\n"
        "    print(json.dumps(sorted(sys.modules)))\n"
        "asyncio.run(main())\n"
    )
    root = Path(__file__).parents[2]
    ran = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    loaded = set(json.loads(ran.stdout))
    assert "worker.adapters.guarded_http" in loaded
    heavy = {"worker.adapters.pebble_document_parser", "worker.parser", "docling", "pymupdf", "pebble", "onnxruntime"}
    assert not loaded & (heavy | {"fastapi", "granian"})
