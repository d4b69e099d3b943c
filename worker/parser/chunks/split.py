"""A block in pieces that keep within a limit, cut only where that does no harm."""

import re
from collections.abc import Callable, Iterator

from worker.parser.chunks.block import Block
from worker.parser.chunks.token import count

# After a mark that ends a sentence, before what begins one; also in scripts that have no space there.
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[\"'(\[]?[^\W\da-z_])|(?<=[\u3002\uff01\uff1f])")
_HEAD_LINES = 2


def pieces(block: Block, limit: int) -> Iterator[str]:
    """Cut a block into texts of at most ``limit`` tokens.

    A row of a table, and code, are never cut: such a piece may be longer. Every piece of a table has its header.
    """
    if count(block.text) <= limit or block.kind in {"code", "formula", "picture"}:
        yield block.text
    elif block.kind == "table":
        yield from _of_table(block.text, limit)
    elif block.kind == "list":
        yield from _gathered(block.text.split("\n"), "\n", limit, _of_text)
    else:
        yield from _of_text(block.text, limit)


def sentences(text: str) -> list[str]:
    """Cut a text into its sentences."""
    return [sentence for sentence in _SENTENCE.split(text) if sentence]


def _of_table(text: str, limit: int) -> Iterator[str]:
    lines = text.split("\n")
    header, rows = lines[:_HEAD_LINES], lines[_HEAD_LINES:]
    room = max(limit - count("\n".join(header)), 1)
    for part in _gathered(rows, "\n", room, lambda row, _: iter([row])):
        yield "\n".join([*header, part])


def _of_text(text: str, limit: int) -> Iterator[str]:
    yield from _gathered(sentences(text), " ", limit, _of_words)


def _of_words(sentence: str, limit: int) -> Iterator[str]:
    yield from _gathered(sentence.split(), " ", limit, _of_letters)


def _of_letters(word: str, limit: int) -> Iterator[str]:
    # A letter is at most a token.
    for start in range(0, len(word), limit):
        yield word[start : start + limit]


def _gathered(parts: list[str], joint: str, limit: int, cut: Callable[[str, int], Iterator[str]]) -> Iterator[str]:
    """Join parts for as long as they keep within the limit; one that does not by itself is cut further."""
    gathered, size = list[str](), 0
    for part in parts:
        more = count(part)
        if gathered and size + more > limit:
            yield joint.join(gathered)
            gathered, size = [], 0
        if more > limit:
            yield from cut(part, limit)
        else:
            gathered.append(part)
            size += more
    if gathered:
        yield joint.join(gathered)
