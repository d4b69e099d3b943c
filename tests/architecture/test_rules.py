"""The rules themselves find what they forbid and leave the rest alone."""

import ast
from functools import partial

import pytest
from grimp import ImportGraph

from tests.architecture import rule
from tests.architecture.only_contract import forbidden_links

OFFENCES = {
    "assert": (rule.asserts, "assert x"),
    "bare except": (rule.broad_excepts, "try: f()\nexcept: pass"),
    "except Exception": (rule.broad_excepts, "try: f()\nexcept Exception: pass"),
    "except among others": (rule.broad_excepts, "try: f()\nexcept (OSError, builtins.Exception): pass"),
    "test without docstring": (rule.tests_without_promise, "async def test_x(): pass"),
    "test in a class": (rule.tests_without_promise, "class TestX:\n    def test_x(self): pass"),
    "mock": (rule.mocks, "from unittest.mock import patch"),
    "mock by its package": (rule.mocks, "from unittest import mock"),
    "mocker": (rule.mocks, "def test_x(mocker): pass"),
    "sleep": (rule.sleeps, "async def f(): await asyncio.sleep(0.1)"),
    "imported sleep": (rule.sleeps, "sleep(1)"),
    "long function": (partial(rule.long_functions, limit=2), "def f():\n    a\n    b"),
}
INNOCENT = {
    "named error": (rule.broad_excepts, "try: f()\nexcept OSError: pass"),
    "test with docstring": (rule.tests_without_promise, 'def test_x():\n    """It holds."""'),
    "fixture": (rule.tests_without_promise, "def valkey(): pass"),
    "yield to the loop": (rule.sleeps, "async def f(): await asyncio.sleep(0)"),
    "function at the limit": (partial(rule.long_functions, limit=2), "def f():\n    a"),
}


@pytest.mark.parametrize(("find", "code"), OFFENCES.values(), ids=OFFENCES)
def test_a_rule_finds_what_it_forbids(find: rule.Rule, code: str) -> None:
    """Each offence is found once, at its line."""
    assert len(find(ast.parse(code))) == 1


@pytest.mark.parametrize(("find", "code"), INNOCENT.values(), ids=INNOCENT)
def test_a_rule_leaves_the_rest_alone(find: rule.Rule, code: str) -> None:
    """What looks alike and is right is no offence."""
    assert find(ast.parse(code)) == []


@pytest.mark.parametrize("text", ["cd /" + "work/x", "see https://pypi" + ".org/p", '"/' + 'root/.venv"'])
def test_a_machines_place_is_found(text: str) -> None:
    """Absolute folders of a machine and registry hosts are found wherever they stand."""
    assert [line for line, _ in rule.places(f"first\n{text}")] == [2]


@pytest.mark.parametrize("text", ["a/work/b", "the root/leaf", "./work/", "/api/root"])
def test_an_ordinary_path_is_no_place_of_a_machine(text: str) -> None:
    """Relative paths and routes may hold the same words."""
    assert rule.places(text) == []


def test_a_package_may_import_itself_and_what_is_allowed() -> None:
    """The contract names every other import of first-party code, and no third party's."""
    graph = ImportGraph()
    imports = {
        "ours.handlers.a": ["ours.handlers.a.part", "contracts.jobs", "ours.ports", "httpx"],
        "ours.handlers.b": ["ours.attempt", "contracts_too"],
    }
    for importer, importeds in imports.items():
        for imported in importeds:
            graph.add_import(importer=importer, imported=imported)
    graph.add_module("ours.handlers")

    found = forbidden_links(
        graph,
        source="ours.handlers",
        allowed=["contracts", "ours.ports"],
        roots=["ours", "contracts", "contracts_too"],
    )

    assert found == [("ours.handlers.b", "contracts_too"), ("ours.handlers.b", "ours.attempt")]


def test_the_links_of_a_page_are_those_into_the_repository() -> None:
    """Other sites, places of the page itself and examples are not looked at."""
    page = "[a](../a.md#part) [b](b/) [c](#here) [d](https://example.com/d)\n```sh\n[e](e.md)\n```\n"
    assert rule.links(page) == ["../a.md", "b/"]
