"""A document as the files that were asked for."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from schemas.jobs.documents import ConvertOptions, OutputName
from worker.parser.chunks.report import report
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


def _chunks(reading: Reading, options: ConvertOptions) -> str:
    return json.dumps(report(reading.document, options.chunking), ensure_ascii=False)


_EXPORTS: dict[OutputName, tuple[str, _Export]] = {
    "markdown": ("document.md", lambda reading, _: markdown(reading.document) + "\n"),
    "json": ("document.json", lambda reading, _: reading.document.model_dump_json(by_alias=True, exclude_none=True)),
    "text": ("document.txt", lambda reading, _: _text(reading)),
    "html": ("document.html", lambda reading, _: reading.document.export_to_html(included_content_layers=SHOWN)),
    "pages": ("pages.json", lambda reading, _: _pages(reading)),
    "chunks": ("chunks.json", _chunks),
}
