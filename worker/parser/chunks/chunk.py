"""A document's chunks, by one of four strategies."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

from schemas.jobs.documents import ChunkOptions
from worker.parser.chunks.block import Block, BlockKind, Place
from worker.parser.chunks.split import pieces, sentences
from worker.parser.chunks.token import count


@dataclass(frozen=True)
class Chunk:
    """Blocks, or pieces of them, that belong together; ``overlap`` is what of the chunk before it begins with."""

    text: str
    headings: tuple[str, ...]
    kinds: tuple[BlockKind, ...]
    places: tuple[Place, ...]
    overlap: str = ""

    @cached_property
    def tokens(self) -> int:
        """How long it is."""
        return count(self.text)

    @property
    def pages(self) -> tuple[int, ...]:
        """The pages that it stands on."""
        return tuple(sorted({place.page for place in self.places}))


_Key = Callable[[Block], object]
# Blocks of one key that follow each other may become one chunk.
_TOGETHER: dict[str, _Key] = {
    "hierarchical": id,
    "hybrid": lambda block: block.headings,
    "page": lambda block: block.page,
    "tabular": lambda block: id(block) if block.kind == "table" else block.headings,
}


def chunks(blocks: Iterable[Block], options: ChunkOptions) -> list[Chunk]:
    """Make chunks of at most ``max_tokens``, but for a row or code that is longer by itself."""
    limit, key = options.max_tokens - options.overlap_tokens, _TOGETHER[options.strategy]
    found = list(_gathered(blocks, limit, key))
    return [*found[:1], *(_overlapping(*pair, options.overlap_tokens) for pair in pairwise(found))]


def _gathered(blocks: Iterable[Block], limit: int, key: _Key) -> Iterator[Chunk]:
    open_chunk: Chunk | None = None
    size, open_key = 0, None
    for block in blocks:
        for text in pieces(block, limit):
            more = count(text)
            if open_chunk is not None and (key(block) != open_key or size + more > limit):
                yield open_chunk
                open_chunk = None
            if open_chunk is None:
                open_chunk, size, open_key = Chunk(text, block.headings, (block.kind,), block.places), more, key(block)
            else:
                open_chunk, size = _joined(open_chunk, block, text), size + more
    if open_chunk is not None:
        yield open_chunk


def _joined(chunk: Chunk, block: Block, text: str) -> Chunk:
    return replace(
        chunk,
        text=f"{chunk.text}\n\n{text}",
        headings=tuple(one for one, other in zip(chunk.headings, block.headings, strict=False) if one == other),
        kinds=tuple(dict.fromkeys((*chunk.kinds, block.kind))),
        places=tuple(dict.fromkeys((*chunk.places, *block.places))),
    )


def _overlapping(before: Chunk, chunk: Chunk, most: int) -> Chunk:
    """Begin a chunk with the last sentences of the one before, where both are text of one section."""
    if not most or before.headings != chunk.headings or before.kinds[-1] != "text" or chunk.kinds[0] != "text":
        return chunk
    kept: list[str] = []
    for sentence in reversed(sentences(before.text)):
        if count(" ".join([sentence, *kept])) > most:
            break
        kept.insert(0, sentence)
    overlap = " ".join(kept)
    return replace(chunk, text=f"{overlap} {chunk.text}", overlap=overlap) if overlap else chunk
