"""The house rules hold for every file; their figures and exceptions stand in pyproject.toml."""

import ast
import os
from collections.abc import Iterable
from pathlib import Path

from tests.architecture import repository, rule
from tests.architecture.repository import PRODUCTION

# Waiting is written there once, as `until`: everything else asks it to wait.
WAITS = Path("tests/support")


def offences(names: Iterable[Path], find: rule.Rule) -> list[str]:
    """Apply a rule to modules and give what it finds as ``file:line: what``."""
    return [f"{name}:{line}: {what}" for name in names for line, what in find(repository.tree(name))]


def test_no_file_is_longer_than_its_limit() -> None:
    """A longer file answers two questions: split it at the second."""
    limit = repository.house()["size"]["file_lines"]
    lines = {name: len(repository.source(name).splitlines()) for name in repository.modules()}
    assert {str(name): count for name, count in lines.items() if count > limit} == {}


def test_no_function_is_longer_than_its_limit() -> None:
    """A longer function has steps without names: give them names."""
    limit = repository.house()["size"]["function_lines"]

    def find(module: ast.Module) -> list[rule.Offence]:
        return rule.long_functions(module, limit)

    assert offences(repository.modules(), find) == []


def test_every_module_says_which_question_it_answers() -> None:
    """Every module begins with a docstring."""
    assert [str(name) for name in repository.modules() if not ast.get_docstring(repository.tree(name))] == []


def test_no_module_has_a_name_that_says_nothing() -> None:
    """What would go into ``utils`` belongs to a thing that has a name."""
    assert [str(name) for name in repository.modules() if {*name.with_suffix("").parts} & rule.NAMELESS] == []


def test_production_code_asserts_nothing() -> None:
    """What must hold is checked with an error that says what may be done about it."""
    assert offences(repository.modules(*PRODUCTION), rule.asserts) == []


def test_every_error_is_caught_by_its_name() -> None:
    """``except Exception`` stands only where pyproject.toml says why."""
    allowed = {Path(name) for name in repository.house()["broad-except"]}
    names = [name for name in repository.modules(*PRODUCTION) if name not in allowed]
    assert offences(names, rule.broad_excepts) == []


def test_no_exception_to_a_rule_outlives_its_need() -> None:
    """Each file that may catch everything exists and does, so the list only ever tells the truth."""
    allowed = [Path(name) for name in repository.house()["broad-except"]]
    assert [str(name) for name in allowed if not offences([name], rule.broad_excepts)] == []


def test_every_test_states_its_promise() -> None:
    """Every test function has a docstring."""
    assert offences(repository.suites(), rule.tests_without_promise) == []


def test_no_test_patches_what_it_tests() -> None:
    """Fakes stand in for ports and run through the contract tests of the real thing."""
    assert offences(repository.modules("tests"), rule.mocks) == []


def test_no_test_sleeps() -> None:
    """A test waits until something is so: a sleep is too short here and too long there."""
    names = [name for name in repository.modules("tests") if WAITS not in name.parents]
    assert offences(names, rule.sleeps) == []


def test_no_text_names_a_place_of_one_machine() -> None:
    """Folders of one machine and hosts of package registries are the reader's, not the repository's."""
    found = []
    for name in repository.files():
        try:
            text = repository.source(name)
        except UnicodeDecodeError:
            continue  # a picture, a font, a sample document
        found += [f"{name}:{line}: {place}" for line, place in rule.places(text)]
    assert found == []


def test_every_link_of_a_page_leads_somewhere() -> None:
    """To a file or folder that the repository has: an empty folder is not in it."""
    there = {place for name in repository.files() for place in (name, *name.parents)}
    found = []
    for page in (name for name in repository.files() if name.suffix == ".md"):
        targets = [Path(os.path.normpath(page.parent / link)) for link in rule.links(repository.source(page))]
        found += [f"{page}: {target}" for target in targets if target not in there]
    assert found == []
