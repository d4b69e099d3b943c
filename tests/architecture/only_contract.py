"""An import-linter contract: of our own code, a package imports what is allowed and nothing else.

A list of what is forbidden would have to grow with every new module, and would be forgotten.
"""

from typing import cast

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output

Link = tuple[str, str]


class OnlyContract(Contract):
    """``source`` imports, directly, only itself and what lies below the ``allowed`` packages."""

    type_name = "only"

    source = fields.StringField()
    allowed = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002, FBT001 - the base class's
        """Find every import that is not allowed."""
        source, allowed = cast("str", self.source), cast("list[str]", self.allowed)
        roots = cast("list[str]", self.session_options["root_packages"])
        found = forbidden_links(graph, source=source, allowed=allowed, roots=roots)
        return ContractCheck(kept=not found, metadata={"links": found})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print one line per import."""
        links = cast("list[Link]", check.metadata["links"])
        for importer, imported in links:
            output.print_error(f"{importer} imports {imported}")


def forbidden_links(graph: ImportGraph, *, source: str, allowed: list[str], roots: list[str]) -> list[Link]:
    """Give (importer, imported) for every direct import of first-party code that is not allowed."""
    importers = {source, *graph.find_descendants(source)}
    return sorted(
        (importer, imported)
        for importer in importers
        for imported in graph.find_modules_directly_imported_by(importer)
        if _is_below(imported, roots) and not _is_below(imported, [source, *allowed])
    )


def _is_below(module: str, packages: list[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)
