"""A document's chunks as they are given away, with what they come to."""

from collections import Counter
from dataclasses import asdict
from statistics import median
from typing import Any

from docling_core.types.doc import DoclingDocument

from schemas.jobs.documents import ChunkOptions
from worker.parser.chunks import quality
from worker.parser.chunks.block import blocks
from worker.parser.chunks.chunk import chunks
from worker.parser.chunks.token import TOKENIZER


def report(document: DoclingDocument, options: ChunkOptions) -> dict[str, Any]:
    """Cut a document, and judge each piece; what is given is JSON."""
    found = chunks(blocks(document), options)
    flags, sizes = quality.flags(found, options.max_tokens), [chunk.tokens for chunk in found]
    scores = [quality.score(one) for one in flags]
    told = [
        {"index": index, **asdict(chunk), "pages": chunk.pages, "tokens": chunk.tokens, "score": score, "flags": wrong}
        for index, (chunk, score, wrong) in enumerate(zip(found, scores, flags, strict=True))
    ]
    summary = {
        "chunks": len(found),
        "tokens": sum(sizes),
        "tokens_median": median(sizes) if sizes else 0,
        "score_median": median(scores) if scores else 0,
        "flags": Counter(flag for one in flags for flag in one),
    }
    return {"strategy": options.strategy, "tokenizer": TOKENIZER, "summary": summary, "chunks": told}
