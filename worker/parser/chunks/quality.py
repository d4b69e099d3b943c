"""How good a chunk is for search, by signs that need no model."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from worker.parser.chunks.chunk import Chunk

Flag = Literal["short", "oversized", "unfinished", "noisy", "repeated"]
# What each takes of a score of 1.
_COST: dict[Flag, float] = {"short": 0.3, "oversized": 0.2, "unfinished": 0.15, "noisy": 0.4, "repeated": 0.4}
_SHORT_TOKENS = 15
_NOISY = 0.4
_REPEATED = 3
_MARK = re.compile(r"[^\w\s]|_")
_END = re.compile(r"[.!?:;\u2026\u3002\uff01\uff1f][\"')\]\u201d\u2019\u00bb]*$")
_DIGITS = re.compile(r"\d+")


def flags(chunks: Sequence[Chunk], max_tokens: int) -> list[tuple[Flag, ...]]:
    """Give what is wrong with each chunk, nothing when nothing is.

    ``repeated``: three or more differ by figures only, as heads and feet of pages do.
    """
    prints = [_DIGITS.sub("0", chunk.text) for chunk in chunks]
    seen = Counter(prints)
    return [
        tuple(flag for flag, is_so in _signs(chunk, max_tokens, seen[text] >= _REPEATED).items() if is_so)
        for chunk, text in zip(chunks, prints, strict=True)
    ]


def score(found: Sequence[Flag]) -> float:
    """Give what is left of 1, at least 0."""
    return round(max(0.0, 1.0 - sum(_COST[flag] for flag in found)), 2)


def _signs(chunk: Chunk, max_tokens: int, is_repeated: bool) -> dict[Flag, bool]:  # noqa: FBT001 - a sign among signs
    letters = len("".join(chunk.text.split()))
    is_prose = chunk.kinds == ("text",)
    return {
        "short": chunk.tokens < _SHORT_TOKENS,
        "oversized": chunk.tokens > max_tokens,
        "unfinished": is_prose and _END.search(chunk.text) is None,
        "noisy": is_prose and len(_MARK.findall(chunk.text)) > _NOISY * letters,
        "repeated": is_repeated,
    }
