"""Which handler does which kind, found by name; nothing is registered, so nothing can be forgotten.

``documents.convert`` is ``handle`` in ``worker/handlers/documents/convert.py``.
"""

import importlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from pydantic import BaseModel

import worker.handlers
from schemas.errors import Misconfigured, UnknownKind
from schemas.job_spec import AnySpec, Catalogue

Handler = Callable[[Any, Any], Awaitable[BaseModel]]


@dataclass(frozen=True)
class Entry:
    """A kind with the handler that does it and the ports the handler needs."""

    spec: AnySpec
    handle: Handler
    ports: frozenset[type]


class Registry:
    """The kinds that this worker does."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        """Keep the entries by kind."""
        self._entries = {entry.spec.kind: entry for entry in entries}
        specs = [entry.spec for entry in self._entries.values()]
        self._kinds = {(spec.queue, name): spec.kind for spec in specs for name in (spec.kind, spec.verb)}

    @property
    def queues(self) -> list[str]:
        """The queues to take jobs from."""
        return sorted({entry.spec.queue for entry in self._entries.values()})

    @property
    def ports(self) -> frozenset[type]:
        """Every port that some handler needs."""
        return frozenset().union(*(entry.ports for entry in self._entries.values()))

    @property
    def kinds(self) -> list[str]:
        """Every kind, in alphabetical order."""
        return sorted(self._entries)

    def crashes(self, queue: str) -> int:
        """Tell how often a worker may die under a job of this queue."""
        return max(entry.spec.crashes for entry in self._entries.values() if entry.spec.queue == queue)

    def kind(self, queue: str, name: str) -> str | None:
        """Tell a job's kind; its name may be the kind or, as others add it, the verb."""
        return self._kinds.get((queue, name))

    def find(self, queue: str, name: str) -> Entry:
        """Find the handler of a job.

        Raises:
            UnknownKind: no handler of that name serves the queue.
        """
        if kind := self.kind(queue, name):
            return self._entries[kind]
        names = [kind for kind in self.kinds if kind.startswith(f"{queue}.")]
        raise UnknownKind(f"the queue {queue} has no handler for {name[:80]!r}; name the job {' or '.join(names)}")


def load(catalogue: Catalogue, queues: Iterable[str], package: ModuleType = worker.handlers) -> Registry:
    """Import the handlers of these queues, and only those; of every queue when none is named.

    Raises:
        Misconfigured: a queue has no kinds, or a kind has no handler.
    """
    wanted = set(queues) or {spec.queue for spec in catalogue.values()}
    if unknown := wanted - {spec.queue for spec in catalogue.values()}:
        known = ", ".join(sorted({spec.queue for spec in catalogue.values()}))
        raise Misconfigured(f"no kind of job has the queue {', '.join(sorted(unknown))}; there are: {known}")
    return Registry(_entry(spec, package) for spec in catalogue.values() if spec.queue in wanted)


def _entry(spec: AnySpec, package: ModuleType) -> Entry:
    name = f"{package.__name__}.{spec.queue.replace('-', '_')}.{spec.verb}"
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not name.startswith(error.name):
            raise
        raise Misconfigured(f"the kind {spec.kind} has no handler; write {name} with handle()") from error
    if not hasattr(module, "handle"):
        raise Misconfigured(f"the kind {spec.kind} has no handler; write {name} with handle()")
    return Entry(spec, module.handle, frozenset(getattr(module, "PORTS", ())))
