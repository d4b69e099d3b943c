"""Similarity of two trees by the cost of turning one into the other (APTED)."""

from collections.abc import Callable
from dataclasses import dataclass, field

from apted import APTED, Config
from rapidfuzz.distance import Levenshtein


@dataclass(eq=False)
class Node:
    """A node; nodes of different ``kind`` cost 1 to rename, of the same kind their texts' distance."""

    kind: str
    text: str = ""
    children: list["Node"] = field(default_factory=list)

    def size(self) -> int:
        """Count the node and all below it."""
        return 1 + sum(child.size() for child in self.children)


class _Costs(Config):  # type: ignore[misc, unused-ignore]
    """Costs of APTED's edits: 1 to insert or delete."""

    def __init__(self, distance: Callable[[str, str], float]) -> None:
        self._distance = distance

    def rename(self, one: Node, other: Node) -> float:
        if one.kind != other.kind:
            return 1.0
        return self._distance(one.text, other.text) if one.text or other.text else 0.0

    def children(self, node: Node) -> list[Node]:
        return node.children


def similarity(one: Node, other: Node, *, texts: bool, root_counts: bool = True) -> float:
    """Give 1 - distance / nodes of the larger tree; ``texts`` says whether words count."""
    costs = _Costs(Levenshtein.normalized_distance if texts else lambda _one, _other: 0.0)
    distance = APTED(one, other, costs).compute_edit_distance()
    nodes = max(one.size(), other.size()) - (not root_counts)
    return max(0.0, 1.0 - float(distance) / nodes)
