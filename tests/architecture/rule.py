"""The house rules that no linter has, each a pure function from a module's tree to its offences."""

import ast
import re
from collections.abc import Callable, Iterator

Offence = tuple[int, str]
Rule = Callable[[ast.Module], list[Offence]]

# Names that say nothing: whatever is put there belongs to a thing that has a name.
NAMELESS = frozenset({"utils", "util", "common", "core", "helpers", "helper", "misc", "manager", "base"})

_Function = ast.FunctionDef | ast.AsyncFunctionDef


def asserts(module: ast.Module) -> list[Offence]:
    """Find assert statements: python -O removes them, and their error names no remedy."""
    return [(node.lineno, "assert") for node in ast.walk(module) if isinstance(node, ast.Assert)]


def broad_excepts(module: ast.Module) -> list[Offence]:
    """Find handlers that catch every error, by whatever name."""
    return [
        (node.lineno, f"except {ast.unparse(node.type) if node.type else ''}".strip())
        for node in ast.walk(module)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or {"Exception", "BaseException"} & _names(node.type))
    ]


def tests_without_promise(module: ast.Module) -> list[Offence]:
    """Find tests without a docstring, which is where a test states what it promises."""
    return [
        (function.lineno, function.name)
        for function in _functions(module)
        if function.name.startswith("test_") and not ast.get_docstring(function)
    ]


def mocks(module: ast.Module) -> list[Offence]:
    """Find ``unittest.mock`` and its wrappers: a patched test checks the patch."""
    imported = [
        (node.lineno, name)
        for node in ast.walk(module)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
        if name == "mock" or name.startswith(("unittest.mock", "pytest_mock"))
    ]
    asked_for = [
        (function.lineno, "the fixture mocker")
        for function in _functions(module)
        if "mocker" in {argument.arg for argument in function.args.args}
    ]
    return imported + asked_for


def sleeps(module: ast.Module) -> list[Offence]:
    """Find sleeps: a test waits until something is so, never for a time. ``sleep(0)`` only yields."""
    return [
        (node.lineno, ast.unparse(node))
        for node in ast.walk(module)
        if isinstance(node, ast.Call) and "sleep" in _names(node.func) and not _is_zero(node.args)
    ]


def long_functions(module: ast.Module, limit: int) -> list[Offence]:
    """Find functions of more than ``limit`` lines, docstring included."""
    return [
        (function.lineno, f"{function.name} has {lines} lines, more than {limit}")
        for function in _functions(module)
        if (lines := (function.end_lineno or function.lineno) - function.lineno + 1) > limit
    ]


# Written in pieces, so that this file keeps its own rule.
_PLACES = re.compile(
    r"(?<![\w.])/(?:" + r"|".join(["work", "root", "opt/" + "pypi", "opt/" + "wheels"]) + r")/"
    r"|" + r"|".join(["pypi" + r"\.org", "pythonhosted" + r"\.org", "registry" + r"\.npmjs", "deb" + r"\.debian"])
)

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def places(text: str) -> list[Offence]:
    """Find paths of somebody's machine and hosts of package registries: both are the reader's to choose."""
    return [
        (number, match.group())
        for number, line in enumerate(text.splitlines(), start=1)
        for match in _PLACES.finditer(line)
    ]


def links(text: str) -> list[str]:
    """Find what a page in Markdown links to in its own repository, without the part of the page."""
    found = (match.group(1) for match in _LINK.finditer(_FENCED.sub("", text)))
    return [link.partition("#")[0] for link in found if "://" not in link and not link.startswith(("#", "mailto:"))]


def _functions(module: ast.Module) -> Iterator[_Function]:
    return (node for node in ast.walk(module) if isinstance(node, _Function))


def _names(expression: ast.expr) -> set[str]:
    """Give every name in an expression, with what dots lead to: ``time.sleep`` has both."""
    nodes = list(ast.walk(expression))
    plain = {node.id for node in nodes if isinstance(node, ast.Name)}
    return plain | {node.attr for node in nodes if isinstance(node, ast.Attribute)}


def _is_zero(arguments: list[ast.expr]) -> bool:
    return len(arguments) == 1 and isinstance(arguments[0], ast.Constant) and arguments[0].value == 0
