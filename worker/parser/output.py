"""A document as the files that were asked for."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from statistics import median

from schemas.jobs.documents import ChunkOptions, ConvertOptions, OutputName
from worker.parser.chunks import quality
from worker.parser.chunks.block import blocks
from worker.parser.chunks.chunk import chunks
from worker.parser.chunks.token import TOKENIZER, count
from worker.parser.markdown import SHOWN, markdown
from worker.parser.reading import Reading

_Export = Callable[[Reading, ConvertOptions], str]


def write_outputs(reading: Reading, options: ConvertOptions, folder: Path) -> dict[OutputName, Path]:
    """Write one file per output; writing again replaces it."""
    for picture in reading.document.pictures:
        # Pictures stay where they are: base64 in JSON would outweigh all the text.
        picture.image = None
    outputs: dict[OutputName, Path] = {}
    for name in options.outputs:
        file, export = _EXPORTS[name]
        outputs[name] = folder / file
        outputs[name].write_text(export(reading, options), encoding="utf-8")
    return outputs


def _text(reading: Reading) -> str:
    return reading.document.export_to_text(traverse_pictures=True, included_content_layers=SHOWN) + "\n"


def _pages(reading: Reading) -> str:
    return json.dumps({"pages": [asdict(page) for page in reading.page_reports]})


def _chunks(reading: Reading, options: ChunkOptions) -> str:
    found = chunks(blocks(reading.document), options)
    flags, sizes = quality.flags(found, options.max_tokens), [count(chunk.text) for chunk in found]
    scores = [quality.score(one) for one in flags]
    told = [
        {"index": index, **asdict(chunk), "pages": chunk.pages, "tokens": tokens, "score": score, "flags": wrong}
        for index, (chunk, tokens, score, wrong) in enumerate(zip(found, sizes, scores, flags, strict=True))
    ]
    summary = {
        "chunks": len(found),
        "tokens": sum(sizes),
        "tokens_median": median(sizes) if sizes else 0,
        "score_median": median(scores) if scores else 0,
        "flags": Counter(flag for one in flags for flag in one),
    }
    content = {"strategy": options.strategy, "tokenizer": TOKENIZER, "summary": summary, "chunks": told}
    return json.dumps(content, ensure_ascii=False)


_EXPORTS: dict[OutputName, tuple[str, _Export]] = {
    "markdown": ("document.md", lambda reading, _: markdown(reading.document) + "\n"),
    "json": ("document.json", lambda reading, _: reading.document.model_dump_json(by_alias=True, exclude_none=True)),
    "text": ("document.txt", lambda reading, _: _text(reading)),
    "html": ("document.html", lambda reading, _: reading.document.export_to_html(included_content_layers=SHOWN)),
    "pages": ("pages.json", lambda reading, _: _pages(reading)),
    "chunks": ("chunks.json", lambda reading, options: _chunks(reading, options.chunking)),
}
