"""A document as the files that were asked for."""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

from docling_core.types.doc import DoclingDocument

from schemas.jobs.documents import OutputName
from worker.parser.markdown import SHOWN, markdown
from worker.parser.reading import Reading

_Export = Callable[[Reading], str]
_EXPORTS: dict[OutputName, tuple[str, _Export]] = {
    "markdown": ("document.md", lambda reading: markdown(reading.document) + "\n"),
    "json": ("document.json", lambda reading: reading.document.model_dump_json(by_alias=True, exclude_none=True)),
    "text": (
        "document.txt",
        lambda reading: reading.document.export_to_text(traverse_pictures=True, included_content_layers=SHOWN) + "\n",
    ),
    "pages": ("pages.json", lambda reading: json.dumps({"pages": [asdict(page) for page in reading.page_reports]})),
}


def _text(document: DoclingDocument) -> str:
    return document.export_to_text(traverse_pictures=True, included_content_layers=SHOWN)


def write_outputs(reading: Reading, names: Iterable[OutputName], folder: Path) -> dict[OutputName, Path]:
    """Write one file per output; writing again replaces it."""
    for picture in reading.document.pictures:
        # Pictures stay where they are: base64 in JSON would outweigh all the text.
        picture.image = None
    outputs: dict[OutputName, Path] = {}
    for name in names:
        file, export = _EXPORTS[name]
        outputs[name] = folder / file
        outputs[name].write_text(export(reading), encoding="utf-8")
    return outputs
